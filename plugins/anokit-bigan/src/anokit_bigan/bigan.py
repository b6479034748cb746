"""BiGAN and ALI: one discriminator judges encoder and generator together."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from anokit.nn import frozen
from anokit_bigan.averaging import average_of
from anokit_bigan.bidirectional import Bidirectional, channels_last
from anokit_bigan.networks import build_networks
from anokit_bigan.training import cross_entropy, descend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor, nn

    from anokit.nn import ExponentialMovingAverage
    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_bigan.layers import Encoder, Judgement
    from anokit_bigan.plugin import BiGANOptions


class BiGAN(Bidirectional):
    """Encoder E, generator G and discriminator D of pairs (image, latent), with features f.

    D tells encoded images from generated ones; E and G swap the labels, which is the
    non-saturating form. No term compares x with G(E(x)): in the optimum E inverts G nevertheless.
    With BCE on D's output, and z ~ N(0, I)::

        L_D     = BCE(D(x, E(x)), 1) + BCE(D(G(z), z), 0)
        L_G,E   = BCE(D(x, E(x)), 0) + BCE(D(G(z), z), 1)

    In a round trip ``features`` are f(x, E(x)) and ``features_hat`` f(G(E(x)), E(x)); ``critic``
    and ``critic_hat`` the logits of the same pairs. All weights are drawn from torch's default
    generator on construction. D and then E with G take a step on each batch, with the same z.

    Source: Donahue et al., Adversarial Feature Learning (ICLR 2017); with ``networks = "ali"``,
    whose encoder is stochastic, Dumoulin et al., Adversarially Learned Inference (ICLR 2017).

    Raises
    ------
    DataError
        Where the chosen networks cannot take images of this shape.
    """

    name = "bigan"

    def __init__(
        self,
        options: BiGANOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        encoder, generator, discriminator = build_networks(options, spec, self.name)
        super().__init__(options, spec, encoder, generator)
        self.discriminator = discriminator
        self.discriminator_ema = average_of(discriminator, options.ema)

    def discriminators(self) -> Sequence[nn.Module]:
        """Return D."""
        return [self.discriminator]

    def averages(self) -> Sequence[tuple[ExponentialMovingAverage, nn.Module]]:
        """Return each average with the network that it follows."""
        return [*super().averages(), (self.discriminator_ema, self.discriminator)]

    def _learn(self, batch: Batch, z: Tensor) -> Mapping[str, Tensor]:
        real, random = channels_last(batch.images), batch.generator
        with self._half():
            latent, fake = self.encoder.sample(real, random), self.generator(z)
            # In two batches, as in every DCGAN: the norms see either encoded or generated pairs.
            encoded = self.discriminator(real, latent.detach(), random).logits
            generated = self.discriminator(fake.detach(), z, random).logits
        loss_d = cross_entropy(encoded, 1.0) + cross_entropy(generated, 0.0)
        descend(self._adam_d, loss_d)
        with frozen(self.discriminator):
            with self._half():
                opinion_encoded = self.discriminator(real, latent, random).logits
                opinion_generated = self.discriminator(fake, z, random).logits
            loss_g = cross_entropy(opinion_encoded, 0.0) + cross_entropy(opinion_generated, 1.0)
            descend(self._adam_g, loss_g)
        return {
            "loss_d": loss_d,
            "loss_g": loss_g,
            "critic_real": encoded.sigmoid().mean(),
            "critic_fake": generated.sigmoid().mean(),
        }

    def _show(self, images: Tensor, z: Tensor, random: Generator) -> None:
        latent = cast("Encoder", self.encoder_ema.module).sample(images, random)
        self.discriminator_ema(images, latent)
        self.discriminator_ema(self.generator_ema(z), z)

    def _judge(self, fields: Mapping[str, Tensor], name: str) -> Judgement:
        judgement: Judgement = self.discriminator_ema(fields[name], fields["latent"])
        return judgement
