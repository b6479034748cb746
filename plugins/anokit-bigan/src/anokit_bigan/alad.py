"""ALAD: a BiGAN with two more discriminators that hold encoder and generator to be inverse."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from anokit.nn import check_square, frozen
from anokit_bigan.alad_networks import ImagePairDiscriminator, LatentPairDiscriminator
from anokit_bigan.averaging import average_of
from anokit_bigan.bidirectional import Bidirectional, channels_last
from anokit_bigan.dcgan import DCDiscriminator, DCEncoder, DCGenerator
from anokit_bigan.stopping import EarlyStopping
from anokit_bigan.training import cross_entropy, descend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Generator, Tensor, nn

    from anokit.nn import ExponentialMovingAverage
    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_bigan.layers import Judgement
    from anokit_bigan.plugin import ALADOptions


class ALAD(Bidirectional):
    """Encoder E, generator G, and discriminators D_xz, D_xx (with features f_xx) and D_zz.

    With x̂ = G(E(x)), ẑ = E(G(z)), z ~ N(0, I), and BCE on the discriminators' output::

        L_D   = BCE(D_xz(x, E(x)), 1) + BCE(D_xz(G(z), z), 0)
              + BCE(D_xx(x, x), 1) + BCE(D_xx(x, x̂), 0) + BCE(D_zz(z, z), 1) + BCE(D_zz(z, ẑ), 0)
        L_G,E = BCE(D_xz(x, E(x)), 0) + BCE(D_xz(G(z), z), 1)
              + BCE(D_xx(x, x̂), 1) + BCE(D_zz(z, ẑ), 1)

    (Published, L_G and L_E hold one term of D_xz each, and both BCE(D_xx(x, x), 0) and
    BCE(D_zz(z, z), 0): the gradients are those of the sum above, since the other terms do not
    depend on the network.) In a round trip ``features`` are f_xx(x, x) and ``features_hat``
    f_xx(x, x̂); ``critic`` and ``critic_hat`` the logits of the same pairs. All weights are drawn
    from torch's default generator on construction.

    Source: Zenati et al., Adversarially Learned Anomaly Detection (ICDM 2018).

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 32.
    """

    name = "alad"
    judges_latents = False

    def __init__(
        self,
        options: ALADOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        shape = (spec.channels, check_square(spec, self.name, 32))
        size, width, spectral = options.latent_size, options.width, options.spectral_norm
        encoder = DCEncoder(*shape, size, width, spectral=spectral)
        super().__init__(options, spec, encoder, DCGenerator(*shape, size, width))
        self.d_xz = DCDiscriminator(*shape, size, width, spectral=spectral)
        self.d_xx = ImagePairDiscriminator(*shape, width, options.join, spectral=spectral)
        self.d_zz = LatentPairDiscriminator(size, spectral=spectral) if options.dzz else None
        self.d_xx_ema = average_of(self.d_xx, options.ema)
        patience, every = options.patience, options.stop_every
        self.stopping = EarlyStopping(patience, every) if patience else None

    def discriminators(self) -> Sequence[nn.Module]:
        """Return D_xz, D_xx and, where it takes part, D_zz."""
        return [self.d_xz, self.d_xx, *([self.d_zz] if self.d_zz else [])]

    def averages(self) -> Sequence[tuple[ExponentialMovingAverage, nn.Module]]:
        """Return each average with the network that it follows: those that scoring uses."""
        return [*super().averages(), (self.d_xx_ema, self.d_xx)]

    def _learn(self, batch: Batch, z: Tensor) -> Mapping[str, Tensor]:
        x, random = channels_last(batch.images), batch.generator
        score = self._watch(x)
        with self._half():
            latent, fake = self.encoder(x), self.generator(z)
            x_hat, z_hat = self.generator(latent), self.encoder(fake)
            encoded = self.d_xz(x, latent.detach(), random).logits
            generated = self.d_xz(fake.detach(), z, random).logits
            loss_d = cross_entropy(encoded, 1.0) + cross_entropy(generated, 0.0)
            loss_d = loss_d + self._tell_apart(self.d_xx, x, x_hat.detach(), random)
            if self.d_zz:
                loss_d = loss_d + self._tell_apart(self.d_zz, z, z_hat.detach(), random)
        descend(self._adam_d, loss_d)
        with frozen(*self.discriminators()):
            with self._half():
                joint = cross_entropy(self.d_xz(x, latent, random).logits, 0.0)
                joint = joint + cross_entropy(self.d_xz(fake, z, random).logits, 1.0)
                cycle = cross_entropy(self.d_xx(x, x_hat, random).logits, 1.0)
                if self.d_zz:
                    cycle = cycle + cross_entropy(self.d_zz(z, z_hat, random).logits, 1.0)
            descend(self._adam_g, joint + cycle)
        return {
            "loss_d": loss_d,
            "loss_g": joint + cycle,
            "cycle": cycle,
            "reconstruction": (x - x_hat).abs().mean(),
            "critic_real": encoded.sigmoid().mean(),
            "critic_fake": generated.sigmoid().mean(),
            **score,
        }

    def _tell_apart(
        self, judge: nn.Module, one: Tensor, other: Tensor, random: Generator
    ) -> Tensor:
        """Return L of a discriminator of pairs: (one, one) is real, (one, other) is not."""
        same, changed = judge(one, one, random), judge(one, other, random)
        return cross_entropy(same.logits, 1.0) + cross_entropy(changed.logits, 0.0)

    def _watch(self, images: Tensor) -> Mapping[str, Tensor]:
        """Note how a batch scores before it is learnt from, where that may end the training."""
        if not self.stopping:
            return {}
        with torch.no_grad(), _evaluating(self):
            trip = self.round_trip(images, frozenset({"features", "features_hat"}))
            scores = (trip.features - trip.features_hat).abs().sum(dim=1)
        self.stopping.note(scores)
        return {"feature_score": scores.mean()}

    def _finished(self) -> Callable[[], bool] | None:
        return self.stopping.enough if self.stopping else None

    def _show(self, images: Tensor, z: Tensor, random: Generator) -> None:
        x_hat = self.generator_ema(self.encoder_ema(images))
        self.encoder_ema(self.generator_ema(z))
        self.d_xx_ema(images, images)
        self.d_xx_ema(images, x_hat)

    def _judge(self, fields: Mapping[str, Tensor], name: str) -> Judgement:
        judgement: Judgement = self.d_xx_ema(fields["image"], fields[name])
        return judgement


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode inside the ``with`` block."""
    before = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(before)
