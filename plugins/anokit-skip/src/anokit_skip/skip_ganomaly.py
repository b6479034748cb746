"""Skip-GANomaly: a U-Net that reconstructs images, trained against a discriminator."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.nn import autocast, tf32
from anokit.types import Phase, RoundTrip
from anokit_skip.batch_norm import DEPENDENCE, batch_statistics
from anokit_skip.blocks import check_images, check_size, initialise
from anokit_skip.discriminator import BasicDiscriminator
from anokit_skip.saturation import SaturationGuard
from anokit_skip.training import adam, cross_entropy, uses_bf16
from anokit_skip.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Adam

    from anokit.types import Batch, ImageSpec, WeightedLoss
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
        size = check_size(spec, "skip-ganomaly")
        self.options = options
        self.spec = spec
        self.generator = UNet(spec.channels, size, options.ngf)
        self.discriminator = BasicDiscriminator(spec.channels, size, options.ndf, options.nz)
        initialise(self.generator)
        initialise(self.discriminator)
        self.guard = SaturationGuard(options.reinit_below)

    @property
    def batch_dependence(self) -> str:
        """Why scores depend on the batch, or an empty string where they do not."""
        return "" if self.options.batch_norm == "eval" else DEPENDENCE

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, in which G and D take a step each on every batch."""
        return [
            Phase(
                name="train",
                step=self._step,
                optimisers=self._start,
                batch_size=self.options.batch_size,
                images=self.options.images,
                epochs=self.options.epochs if self.options.images is None else None,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Reconstruct and judge ``[B, C, size, size]``; only what ``needs`` asks for is computed.

        ``critic`` and ``critic_hat`` are D's probabilities that an image is real, in [0, 1].

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "skip-ganomaly")
        judged = {"features", "critic"}
        judged_hat = {"features_hat", "critic_hat"}
        fields = {"image": images}
        published = self.options.batch_norm == "batch"
        with (
            tf32(False),
            autocast(images.device, False),
            batch_statistics(self) if published else nullcontext(),
        ):
            if needs & {"image_hat", *judged_hat}:
                fields["image_hat"] = self.generator(images)
            if needs & judged:
                logits, fields["features"] = self.discriminator(images)
                fields["critic"] = logits.sigmoid()
            if needs & judged_hat:
                logits, fields["features_hat"] = self.discriminator(fields["image_hat"])
                fields["critic_hat"] = logits.sigmoid()
        asked = {name: value for name, value in fields.items() if name in needs}
        return RoundTrip(**asked, extra={})

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return self.guard.warnings(metrics)

    def _start(self) -> Mapping[str, Adam]:
        if self.guard.seen.is_cuda:
            self.to(memory_format=torch.channels_last)
        self._adam_g = adam(self.generator, self.options.learning_rate)
        self._adam_d = adam(self.discriminator, self.options.learning_rate)
        return {"generator": self._adam_g, "discriminator": self._adam_d}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images, options = batch.images, self.options
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
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

        # Each network runs once per batch: `inputs` keeps L_G out of D's gradients and L_D out of
        # G, whose weights have changed by then. Same gradients as with x̂ detached and judged again.
        self._adam_g.zero_grad()
        loss_g.backward(inputs=list(self.generator.parameters()), retain_graph=True)
        self._adam_g.step()
        self._adam_d.zero_grad()
        loss_d.backward(inputs=list(self.discriminator.parameters()))
        self._adam_d.step()

        metrics = {
            "loss_g": loss_g,
            "loss_d": loss_d,
            "adversarial": adversarial,
            "reconstruction": reconstruction,
            "feature": feature,
            "critic_real": real.logits.sigmoid().mean(),
            "critic_fake": fake.logits.sigmoid().mean(),
            "reinit": self.guard.watch(self.discriminator, loss_d.detach(), batch),
        }
        return {name: value.detach() for name, value in metrics.items()}

    def _with_noise(self, images: Tensor, generator: Generator) -> Tensor:
        if not self.options.noise:
            return images
        noise = torch.empty_like(images).normal_(generator=generator)
        return images + self.options.noise * noise
