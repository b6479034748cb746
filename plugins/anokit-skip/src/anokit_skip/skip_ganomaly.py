"""Skip-GANomaly: a U-Net that reconstructs images, trained against a discriminator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.nn import autocast, batch_norm_dependence, check_images, check_square, uses_bf16
from anokit.types import RoundTrip
from anokit_skip.blocks import initialise
from anokit_skip.discriminator import BasicDiscriminator
from anokit_skip.family import SMALLEST, Opponents, channels_last, one_phase, scoring
from anokit_skip.saturation import SaturationGuard
from anokit_skip.training import cross_entropy
from anokit_skip.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor

    from anokit.types import Batch, ImageSpec, Phase, WeightedLoss
    from anokit_skip.plugin import SkipGanomalyOptions


class SkipGanomaly(nn.Module):
    """U-Net generator G and discriminator D with features f, trained on images taken as normal.

    With x̂ = G(x) and BCE on D's output::

        L_G = w_adv · BCE(D(x̂), 1) + w_con · mean |x − x̂| + w_lat · mean (f(x) − f(x̂))²
        L_D = BCE(D(x), 1) + BCE(D(x̂), 0) + mean (f(x) − f(x̂))²

    There is no latent and no encoder to train: anomalies are what G and D reconstruct badly. All
    weights are drawn from torch's default generator on construction.

    Source: Akcay et al., Skip-GANomaly (IJCNN 2019), in the form of its released code.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 32.
    """

    def __init__(
        self,
        options: SkipGanomalyOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        size = check_square(spec, "skip-ganomaly", SMALLEST)
        self.options = options
        self.spec = spec
        self.generator = UNet(spec.channels, size, options.ngf)
        self.discriminator = BasicDiscriminator(spec.channels, size, options.ndf, options.nz)
        initialise(self.generator)
        initialise(self.discriminator)
        self.guard = SaturationGuard(options.reinit_below)
        self._opponents = Opponents([self.generator], self.discriminator, self.guard)

    @property
    def batch_dependence(self) -> str:
        """Why scores depend on the batch, or an empty string where they do not."""
        return batch_norm_dependence(self.options.batch_norm)

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, in which G and D take a step each on every batch."""
        return one_phase(self.options, self._opponents, self._step)

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Reconstruct and judge ``[B, C, size, size]``; only what ``needs`` asks for is computed.

        ``critic`` and ``critic_hat`` are D's probabilities that an image is real, in [0, 1].

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "skip-ganomaly")
        fields = {"image": images}
        with scoring(self, over_batch=self.options.batch_norm == "batch"):
            if needs & {"image_hat", "features_hat", "critic_hat"}:
                fields["image_hat"] = self.generator(images)
            self._opponents.judge(fields, needs)
        asked = {name: value for name, value in fields.items() if name in needs}
        return RoundTrip(**asked, extra={})

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return self.guard.warnings(metrics)

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images, options = channels_last(batch.images), self.options
        with autocast(images.device, uses_bf16(images.device, options.precision)):
            image_hat = self.generator(self._with_noise(images, batch.generator)).float()
            real = self.discriminator(images)
            fake = self.discriminator(image_hat)

        # The generator wants its reconstructions to pass for real,
        adversarial = cross_entropy(fake.logits, real=True)
        # to be near their images,
        reconstruction = (images - image_hat).abs().mean()
        # and to look like them to the discriminator.
        feature = (real.features - fake.features).square().mean()
        loss_g = (
            options.w_adv * adversarial + options.w_con * reconstruction + options.w_lat * feature
        )
        # The discriminator wants to tell one from the other, and minimises the feature term too.
        loss_d = (
            cross_entropy(fake.logits, real=False) + cross_entropy(real.logits, real=True) + feature
        )

        return self._opponents.step(
            batch,
            loss_g,
            loss_d,
            real,
            fake,
            adversarial=adversarial,
            reconstruction=reconstruction,
            feature=feature,
        )

    def _with_noise(self, images: Tensor, generator: Generator) -> Tensor:
        if not self.options.noise:
            return images
        noise = torch.empty_like(images).normal_(generator=generator)
        return images + self.options.noise * noise
