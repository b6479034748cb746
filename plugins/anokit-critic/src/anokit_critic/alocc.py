"""ALOCC: a refiner that repairs noisy images, and a discriminator that judges them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anokit.nn import (
    autocast,
    batch_norm_dependence,
    batch_statistics,
    check_images,
    check_square,
    fill,
    frozen,
    tensorflow_rmsprop,
    uses_bf16,
)
from anokit.types import Phase, RoundTrip
from anokit_critic.alocc_networks import Discriminator, Refiner
from anokit_critic.judging import at_least_float32, cross_entropy, opinions, saturation_warnings
from anokit_critic.stopping import StopBelow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from anokit.nn import Source
    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_critic.plugin import ALOCCOptions

PAPER_WEIGHT, RELEASED_WEIGHT = 0.4, 0.2
"""Of the reconstruction loss: the paper's λ (recalled, unverified), the released code's α."""


class ALOCC(nn.Module):
    """Refiner R and discriminator D, trained on images taken as normal.

    With x̃ = x + n, n ~ N(0, σ²), and BCE on D's output::

        L_D = BCE(D(x), 1) + BCE(D(R(x̃)), 0)
        L_R = BCE(D(R(x̃)), 1) + λ · mean (x − R(x̃))²

    D takes a step, then R takes two on the same x̃. Scores: 1 − D(R(x)), the paper's OCC2, since R
    repairs what is normal and spoils what is not; and 1 − D(x), its OCC1. Both are
    ``critic-rejection``. D's running statistics are those of its own steps, half images and half
    reconstructions. An image's loss is BCE(D(x), 1), and BCE(D(x), 0) for one supposed anomalous
    (`Batch.average`). All weights are drawn from torch's default generator on construction.

    Source: Sabokrou et al., Adversarially Learned One-Class Classifier (CVPR 2018), equations 1
    to 3; networks, noise and schedule from the released code.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 16.
    """

    def __init__(
        self,
        options: ALOCCOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        size = check_square(spec, "alocc", 16)
        self.options = options
        self.spec = spec
        self.refiner = Refiner(spec.channels, options.width)
        self.discriminator = Discriminator(spec.channels, size, options.width)
        self.stop = (
            None
            if options.stop_below is None
            else StopBelow(options.stop_below, options.stop_window)
        )

    @property
    def batch_dependence(self) -> str:
        """Why scores depend on the batch, or an empty string where they do not."""
        return batch_norm_dependence(self.options.batch_norm)

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, in which D takes a step on every batch and R two."""
        return [
            Phase(
                name="train",
                step=self._step,
                optimisers=self._start,
                batch_size=self.options.batch_size,
                images=self.options.images,
                epochs=self.options.epochs if self.options.images is None else None,
                finished=self.stop.finished if self.stop else None,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Refine and judge ``[B, C, size, size]``, just as far as ``needs`` asks.

        ``critic`` and ``critic_hat`` are D's probabilities that x and R(x) are real, in [0, 1].

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "alocc")
        sources: dict[str, Source] = {
            "image_hat": (self.refiner, "image"),
            **opinions(self.discriminator),
        }
        over_batch = self.options.batch_norm == "batch"
        with batch_statistics(self) if over_batch else nullcontext():
            return fill({"image": images}, sources, needs)

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return saturation_warnings(metrics)

    def _start(self) -> Mapping[str, Optimizer]:
        if next(self.parameters()).is_cuda:
            self.to(memory_format=torch.channels_last)
        self._rmsprop_d = tensorflow_rmsprop(self.discriminator, self.options.learning_rate)
        self._rmsprop_r = tensorflow_rmsprop(self.refiner, self.options.learning_rate)
        return {"discriminator": self._rmsprop_d, "refiner": self._rmsprop_r}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
        noise = torch.empty_like(images).normal_(generator=batch.generator)
        noisy = images + self.options.noise * noise
        metrics = self._discriminate(images, noisy, batch)
        for _ in range(self.options.refiner_steps):
            metrics |= self._refine(images, noisy)
        if self.stop:
            self.stop.watch(metrics["error"], batch.step)
        return metrics

    def _discriminate(self, images: Tensor, noisy: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Let D tell images from reconstructions."""
        with autocast(images.device, self._bf16(images)):
            with torch.no_grad():
                refined = self.refiner(noisy)
            # In two batches: the norms see either images or reconstructions.
            real = self.discriminator(images)
            fake = self.discriminator(refined)
        loss_real = batch.average(cross_entropy(real, 1.0), cross_entropy(real, 0.0))
        loss = loss_real + cross_entropy(fake, 0.0).mean()
        self._rmsprop_d.zero_grad()
        torch.autograd.backward(loss)
        self._rmsprop_d.step()
        return {
            "loss_d": loss.detach(),
            "critic_real": real.detach().sigmoid().mean(),
            "critic_fake": fake.detach().sigmoid().mean(),
        }

    def _refine(self, images: Tensor, noisy: Tensor) -> dict[str, Tensor]:
        """Let R make D take its reconstructions for images, and stay near these."""
        with frozen(self.discriminator), batch_statistics(self.discriminator):
            with autocast(images.device, self._bf16(images)):
                refined = self.refiner(noisy)
                opinion = self.discriminator(refined)
            refined = at_least_float32(refined)
            adversarial = cross_entropy(opinion, 1.0).mean()
            error = (images - refined).square().mean()
            if self.options.reconstruction == "squared":
                reconstruction, weight = error, PAPER_WEIGHT
            else:
                reconstruction = binary_cross_entropy_with_logits(refined, noisy)
                weight = RELEASED_WEIGHT
            if self.options.w_rec is not None:
                weight = self.options.w_rec
            loss = adversarial + weight * reconstruction
            self._rmsprop_r.zero_grad()
            torch.autograd.backward(loss)
            self._rmsprop_r.step()
        return {
            "loss_r": loss.detach(),
            "adversarial": adversarial.detach(),
            "error": error.detach(),
        }

    def _bf16(self, images: Tensor) -> bool:
        return uses_bf16(images.device, self.options.precision)
