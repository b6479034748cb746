"""GANomaly: an autoencoder whose reconstruction is encoded a second time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from anokit.nn import autocast, batch_norm_dependence, check_images, check_square, uses_bf16
from anokit.types import RoundTrip
from anokit_skip.blocks import initialise
from anokit_skip.family import SMALLEST, Opponents, channels_last, one_phase, scoring
from anokit_skip.ganomaly_networks import LatentDecoder, LatentEncoder, TrunkDiscriminator
from anokit_skip.saturation import SaturationGuard
from anokit_skip.training import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from anokit.types import Batch, ImageSpec, Phase, WeightedLoss
    from anokit_skip.plugin import GanomalyOptions


class Ganomaly(nn.Module):
    """Encoders E₁ and E₂, decoder Dec, and discriminator D with features f.

    With x̂ = Dec(E₁(x)) and BCE on D's output::

        L_G = w_adv · mean (f(x) − f(x̂))² + w_con · mean |x − x̂| + w_enc · mean (E₁(x) − E₂(x̂))²
        L_D = ½ · (BCE(D(x), 1) + BCE(D(x̂), 0))

    The adversarial term compares features, not D's output. ``latent`` is E₁(x), ``latent_hat``
    E₂(x̂), by weights of its own; how far they are apart is the score (``latent-residual``). All
    weights are drawn from torch's default generator on construction.

    Source: Akcay et al., GANomaly (ACCV 2018), in the form of its released code.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 32.
    """

    def __init__(
        self,
        options: GanomalyOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        size = check_square(spec, "ganomaly", SMALLEST)
        self.options = options
        self.spec = spec
        shape = (spec.channels, size)
        self.encoder = LatentEncoder(*shape, options.ngf, options.nz)
        self.decoder = LatentDecoder(*shape, options.ngf, options.nz)
        self.encoder_again = LatentEncoder(*shape, options.ngf, options.nz)
        self.discriminator = TrunkDiscriminator(*shape, options.ndf)
        initialise(self)
        self.guard = SaturationGuard(options.reinit_below)
        generator = (self.encoder, self.decoder, self.encoder_again)
        self._opponents = Opponents(generator, self.discriminator, self.guard)

    @property
    def batch_dependence(self) -> str:
        """Why scores depend on the batch, or an empty string where they do not."""
        return batch_norm_dependence(self.options.batch_norm)

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, in which generator and D take a step each on every batch."""
        return one_phase(self.options, self._opponents, self._step)

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Encode, decode, encode and judge ``[B, C, size, size]``, just as far as ``needs`` asks.

        ``critic`` and ``critic_hat`` are D's probabilities that an image is real, in [0, 1].

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "ganomaly")
        judged_hat = {"features_hat", "critic_hat"}
        fields = {"image": images}
        with scoring(self, over_batch=self.options.batch_norm == "batch"):
            if needs & {"latent", "image_hat", "latent_hat", *judged_hat}:
                fields["latent"] = self.encoder(images)
            if needs & {"image_hat", "latent_hat", *judged_hat}:
                fields["image_hat"] = self.decoder(fields["latent"])
            if "latent_hat" in needs:
                fields["latent_hat"] = self.encoder_again(fields["image_hat"])
            self._opponents.judge(fields, needs)
        asked = {name: value for name, value in fields.items() if name in needs}
        return RoundTrip(**asked, extra={})

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return self.guard.warnings(metrics)

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images, options = channels_last(batch.images), self.options
        with autocast(images.device, uses_bf16(images.device, options.precision)):
            latent = self.encoder(images)
            image_hat = self.decoder(latent).float()
            latent_hat = self.encoder_again(image_hat)
            real = self.discriminator(images)
            fake = self.discriminator(image_hat)

        # The generator wants its reconstructions to look like their images to the discriminator,
        adversarial = (real.features - fake.features).square().mean()
        # to be near them,
        reconstruction = (images - image_hat).abs().mean()
        # and to be encoded alike.
        encoding = (latent.float() - latent_hat.float()).square().mean()
        loss_g = (
            options.w_adv * adversarial + options.w_con * reconstruction + options.w_enc * encoding
        )
        # The discriminator wants to tell one from the other.
        loss_d = (
            cross_entropy(real.logits, real=True) + cross_entropy(fake.logits, real=False)
        ) / 2

        return self._opponents.step(
            batch,
            loss_g,
            loss_d,
            real,
            fake,
            adversarial=adversarial,
            reconstruction=reconstruction,
            encoding=encoding,
        )
