"""AnoGAN: a DCGAN; the latent of a query is searched for when it is scored."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anokit.nn import (
    ExponentialMovingAverage,
    SearchStarts,
    autocast,
    check_images,
    check_square,
    fill,
    frozen,
    latent_search,
    residual_objective,
    uses_bf16,
)
from anokit.types import Phase, RoundTrip
from anokit_anogan.dcgan import DCDiscriminator, DCGenerator
from anokit_anogan.trips import opinions
from anokit_anogan.wasserstein import adam, detached, normal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.nn import Source
    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_anogan.plugin import AnoGANOptions

BETAS = (0.5, 0.999)


class AnoGAN(nn.Module):
    """Generator G with its average, and discriminator D with features f.

    Trained as a GAN with binary cross-entropy. At scoring, the latent of a query x is found by
    gradient descent through the averaged generator and D, both in evaluation mode::

        z(x) = argmin (1 − λ)·Σ|x − G(z)| + λ·Σ|f(x) − f(G(z))|

    The score is the value at the end: in a recipe, 0.9 × ``residual`` and 0.1 ×
    ``feature-residual``, both with norm l1 and reduction sum. All weights and the seed of the
    starts are drawn from torch's default generator on construction.

    Source: Schlegl et al., AnoGAN (2017), equations 3 to 6.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 32.
    """

    progress: Callable[[float], None] | None = None
    """set by the core: takes the share of a round trip that was just done"""

    def __init__(
        self,
        options: AnoGANOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        size = check_square(spec, "anogan", 32)
        self.options = options
        self.spec = spec
        self.generator = DCGenerator(spec.channels, size, options.latent_size, options.width)
        self.generator_ema = ExponentialMovingAverage(self.generator, options.ema)
        self.discriminator = DCDiscriminator(spec.channels, size, options.width)
        self.starts = SearchStarts(options.search_starts, options.latent_size)

    @property
    def batch_dependence(self) -> str:
        """What makes a score depend on the other images of its batch; empty if nothing does."""
        at_once = self.options.search_batch
        return f"latents of {at_once} queries are searched for at once" if at_once > 1 else ""

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, in which D and G take a step each on every batch."""
        return [
            Phase(
                name="gan",
                step=self._step,
                optimisers=self._start,
                batch_size=self.options.batch_size,
                images=self.options.images,
                epochs=self.options.epochs if self.options.images is None else None,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Fill ``needs`` for images ``[B, C, H, W]``: x, z(x), x̂ = G(z(x)).

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "anogan")
        sources: dict[str, Source] = {
            "latent": (self._search, "image"),
            "image_hat": (self.generator_ema, "latent"),
            **opinions(self.discriminator.features, self.discriminator.judge),
        }
        return fill({"image": images}, sources, needs)

    def samples(self, count: int, generator: Generator) -> Tensor:
        """Return ``[count, C, H, W]`` images of the averaged G, comparable over time."""
        shape = (count, self.options.latent_size)
        latents = torch.randn(shape, generator=generator, device=generator.device)
        images: Tensor = self.generator_ema(latents)
        return images

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        real, fake = metrics.get("critic_real", 0.5), metrics.get("critic_fake", 0.5)
        if real > 0.99 and fake < 0.01:
            text = (
                "the discriminator tells generated images from real ones without fail "
                f"({fake:.3f} against {real:.3f}): it no longer guides the generator"
            )
            return [text]
        return []

    def _search(self, images: Tensor) -> Tensor:
        options = self.options
        objective = partial(
            residual_objective,
            generate=self.generator_ema,
            features=self.discriminator.features,
            feature_weight=options.feature_weight,
        )
        return latent_search(
            objective,
            images,
            self.starts(images),
            steps=options.search_steps,
            learning_rate=options.search_learning_rate,
            batch_size=options.search_batch,
            progress=self.progress,
        ).latent

    def _start(self) -> Mapping[str, Optimizer]:
        if self.starts.seed.is_cuda:
            self.to(memory_format=torch.channels_last)
        self._adam_g = adam(self.generator, self.options.learning_rate, BETAS)
        self._adam_d = adam(self.discriminator, self.options.learning_rate, BETAS)
        return {"generator": self._adam_g, "discriminator": self._adam_d}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        options, real = self.options, batch.images
        if real.is_cuda:
            real = real.contiguous(memory_format=torch.channels_last)
        bf16 = uses_bf16(real.device, options.precision)
        z = normal(len(real), options.latent_size, real, batch.generator)
        with autocast(real.device, bf16):
            fake = self.generator(z)
            # In two batches, as in every DCGAN: the norms then see either real or generated images.
            logits_real = self.discriminator(real).float()
            logits_fake = self.discriminator(fake.detach()).float()
        loss_d = _cross_entropy(logits_real, 1.0) + _cross_entropy(logits_fake, 0.0)
        self._adam_d.zero_grad()
        torch.autograd.backward(loss_d)
        self._adam_d.step()
        with frozen(self.discriminator):
            with autocast(real.device, bf16):
                opinion = self.discriminator(fake).float()
            loss_g = _cross_entropy(opinion, 1.0)
            self._adam_g.zero_grad()
            torch.autograd.backward(loss_g)
            self._adam_g.step()
        span = max(1.0, options.ema_rampup * batch.step)
        self.generator_ema.update(self.generator, min(options.ema, 1 - 1 / span))
        return detached(
            loss_d=loss_d,
            loss_g=loss_g,
            critic_real=logits_real.sigmoid().mean(),
            critic_fake=logits_fake.sigmoid().mean(),
        )


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Return the mean binary cross-entropy of ``logits`` ``[B]`` with one label for all."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
