"""Fence GAN: a generator that surrounds the data instead of covering it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Adam

from anokit.nn import (
    autocast,
    batch_statistics,
    check_images,
    check_square,
    fill,
    frozen,
    set_learning_rate,
    uses_bf16,
)
from anokit.types import Phase, RoundTrip
from anokit_critic.fence_networks import FenceDiscriminator, FenceGenerator
from anokit_critic.judging import at_least_float32, cross_entropy, opinions, saturation_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_critic.plugin import FenceGANOptions

UPDATES = 2
"""Of D in each step: one on images, one on generated images."""


class FenceGAN(nn.Module):
    """Generator G and discriminator D, trained on images taken as normal.

    With BCE on D's output and the batch mean μ of G's images::

        L_D = BCE(D(x), 1), then γ · BCE(D(G(z)), 0), an update each
        L_G = BCE(D(G(z)), α) + β / mean ‖G(z) − μ‖₂

    G is to put its images where D says α, around the data, and to keep them apart. At first D is
    trained alone. The score is 1 − D(x), ``critic-rejection``. An image's loss is BCE(D(x), 1), and
    BCE(D(x), 0) for one supposed anomalous (`Batch.average`). D's updates see images that G makes
    with running statistics, G's update goes through D with those of the batch and leaves D's own
    alone, as in Keras. All weights are drawn from torch's default generator on construction.

    Source: Ngo et al., Fence GAN (2019); networks and constants from the released code for
    CIFAR-10. There one Adam of D spans both phases, here each phase begins with a fresh one; its
    step size goes on falling.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 16.
    """

    updates_before: Tensor
    """``[]`` int64: updates of D in the first phase, which the second one's step size goes by"""

    def __init__(
        self,
        options: FenceGANOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        size = check_square(spec, "fence-gan", 16)
        self.options = options
        self.spec = spec
        self.generator = FenceGenerator(spec.channels, size, options.latent_size, options.width)
        self.discriminator = FenceDiscriminator(spec.channels, size, options.width, options.dropout)
        self.register_buffer("updates_before", torch.tensor(0))

    def phases(self) -> Sequence[Phase]:
        """Return D alone, unless ``pretrain_epochs`` is 0, and then both networks."""
        options = self.options
        alone = Phase(
            name="discriminator",
            step=self._pretrain,
            optimisers=self._start_alone,
            batch_size=options.batch_size,
            epochs=options.pretrain_epochs,
        )
        both = Phase(
            name="gan",
            step=self._step,
            optimisers=self._start,
            batch_size=options.batch_size,
            images=options.images,
            epochs=options.epochs if options.images is None else None,
        )
        return [alone, both] if options.pretrain_epochs else [both]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Judge ``[B, C, size, size]``; ``critic`` is D's probability of a real image, in [0, 1].

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "fence-gan")
        return fill({"image": images}, opinions(self.discriminator), needs)

    def samples(self, count: int, generator: Generator) -> Tensor:
        """Return ``[count, C, H, W]`` images of G, comparable over time."""
        shape = (count, self.options.latent_size)
        images: Tensor = self.generator(
            torch.randn(shape, generator=generator, device=generator.device)
        )
        return images

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return saturation_warnings(metrics)

    def _start_alone(self) -> Mapping[str, Optimizer]:
        if self.updates_before.is_cuda:
            self.to(memory_format=torch.channels_last)
        self._adam_d = _adam(self.discriminator, self.options.learning_rate_d)
        self._before = 0
        return {"discriminator": self._adam_d}

    def _start(self) -> Mapping[str, Optimizer]:
        optimisers = self._start_alone()
        self._before = int(self.updates_before)
        self._adam_g = _adam(self.generator, self.options.learning_rate_g)
        return {**optimisers, "generator": self._adam_g}

    def _pretrain(self, batch: Batch) -> Mapping[str, Tensor]:
        metrics = self._discriminate(batch)
        self.updates_before += UPDATES
        return metrics

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        return {**self._discriminate(batch), **self._surround(batch)}

    def _discriminate(self, batch: Batch) -> dict[str, Tensor]:
        """Let D learn from images, then from generated ones."""
        images, options = batch.images, self.options
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
        first = self._before + UPDATES * batch.step
        with autocast(images.device, self._bf16(images)):
            real = self.discriminator(images, batch.generator)
        loss_real = batch.average(cross_entropy(real, 1.0), cross_entropy(real, 0.0))
        self._update_d(loss_real, first)

        with autocast(images.device, self._bf16(images)):
            fake = self.discriminator(self._fixed_images(batch), batch.generator)
        loss_fake = options.fake_weight * cross_entropy(fake, 0.0).mean()
        self._update_d(loss_fake, first + 1)
        return {
            "loss_real": loss_real.detach(),
            "loss_fake": loss_fake.detach(),
            "critic_real": real.detach().sigmoid().mean(),
            "critic_fake": fake.detach().sigmoid().mean(),
        }

    def _surround(self, batch: Batch) -> dict[str, Tensor]:
        """Let G put its images around the data, apart from each other."""
        options, images = self.options, batch.images
        with frozen(self.discriminator), batch_statistics(self.discriminator):
            with autocast(images.device, self._bf16(images)):
                made = self.generator(self._latents(batch))
                opinion = self.discriminator(made, batch.generator)
            encirclement = cross_entropy(opinion, options.target).mean()
            distance = mean_distance(at_least_float32(made))
            loss = encirclement + options.dispersion / distance
            self._adam_g.zero_grad()
            torch.autograd.backward(loss)
            self._adam_g.step()
        return {
            "loss_g": loss.detach(),
            "encirclement": encirclement.detach(),
            "distance": distance.detach(),
        }

    def _update_d(self, loss: Tensor, updates: int) -> None:
        """Take a step of D, which has taken ``updates`` before; its size falls with them."""
        rate = self.options.learning_rate_d / (1 + self.options.decay * updates)
        set_learning_rate(self._adam_d, rate)
        self._adam_d.zero_grad()
        torch.autograd.backward(loss)
        self._adam_d.step()

    def _fixed_images(self, batch: Batch) -> Tensor:
        """Return images of G as it is, with its running statistics."""
        self.generator.eval()
        with torch.no_grad():
            images: Tensor = self.generator(self._latents(batch))
        self.generator.train()
        return images

    def _latents(self, batch: Batch) -> Tensor:
        shape = (len(batch.images), self.options.latent_size)
        return batch.images.new_empty(shape).normal_(generator=batch.generator)

    def _bf16(self, images: Tensor) -> bool:
        return uses_bf16(images.device, self.options.precision)


def mean_distance(images: Tensor) -> Tensor:
    """Return the mean Euclidean distance of images to their mean, ``[B, C, H, W] -> []``."""
    distances: Tensor = (images - images.mean(dim=0)).flatten(1).norm(dim=1)
    return distances.mean()


def _adam(network: nn.Module, learning_rate: float) -> Adam:
    """Return a fresh Adam with β = (0.5, 0.999) and Keras's ε, fused where the device can."""
    fused = next(network.parameters()).device.type in {"cpu", "cuda"}
    return Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999), eps=1e-7, fused=fused)
