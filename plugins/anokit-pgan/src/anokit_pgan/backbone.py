"""The backbone ``pgan``: a progressive GAN and an encoder trained at the same time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import torch
from torch import Generator as RandomSource
from torch import Tensor, nn
from torch.optim import Optimizer

from anokit.errors import RecipeError
from anokit.nn import (
    ExponentialMovingAverage,
    SearchStarts,
    check_images,
    check_square,
    latent_search,
    residual_objective,
    tf32,
    upscale_nearest,
)
from anokit.types import Batch, ImageSpec, Phase, RoundTrip, WeightedLoss
from anokit_pgan.networks import Discriminator, Encoder, Generator, MemoryFormat
from anokit_pgan.plugin import PganOptions
from anokit_pgan.schedule import FIRST_RESOLUTION, Stage, growth_plan
from anokit_pgan.steps import Steps
from anokit_pgan.trips import Networks, trip_from_image

__all__ = ["ProgressiveGAN"]

SMALLEST = 8
CALIBRATION_IMAGES = 8192


class ProgressiveGAN(nn.Module):
    """Generator G, its average, discriminator D and encoder E (Berg et al., section 3).

    Scores come from trips x, ẑ = E(x), x̂ = G_ema(ẑ): the averaged generator and the encoder as it
    was last trained. All initial weights are drawn from torch's default generator.

    Parameters
    ----------
    options
        See `PganOptions`.
    spec
        Shape of the images: square, a power of two, at least 8 pixels; any number of channels.
    encoder_losses
        What trains the encoder; at least one, and none with ``inference = "search"``.

    Raises
    ------
    DataError
        Where the networks cannot take images of this shape.
    RecipeError
        Where encoder losses and ``inference`` do not go together.
    """

    progress: Callable[[float], None] | None = None
    """set by the core: takes the share of a round trip that was just done"""

    def __init__(
        self, options: PganOptions, spec: ImageSpec, encoder_losses: Sequence[WeightedLoss]
    ) -> None:
        super().__init__()
        size = check_square(spec, "pgan", SMALLEST)
        _check_losses(options, encoder_losses)
        self.options = options
        self.spec = spec
        layout: MemoryFormat = "nchw" if options.memory_format == "nchw" else "channels_last"
        shape = (options.base_channels, options.max_channels)
        channels = spec.channels
        over_batch = options.minibatch_stddev == "batch"
        self.generator = Generator(channels, size, options.latent_size, *shape, layout)
        self.discriminator = Discriminator(
            channels, size, *shape, layout, stddev_over_batch=over_batch
        )
        self.encoder = (
            Encoder(
                channels,
                size,
                *shape,
                options.latent_size,
                layout,
                stddev_over_batch=over_batch,
                bias=options.encoder_bias,
            )
            if options.inference == "encoder"
            else None
        )
        self.generator_ema = ExponentialMovingAverage(self.generator, options.ema)
        if options.inference == "search":
            self.starts = SearchStarts(options.search_starts, options.latent_size, "uniform")
        self._steps = Steps(self.generator_ema, options, encoder_losses, size)
        self._resolution, self._fade = size, 1.0  # of the last step; what samples are made at

    @property
    def batch_dependence(self) -> str:
        """What makes a score depend on the other images of its batch; empty if nothing does."""
        if self.options.minibatch_stddev == "batch":
            return "minibatch stddev over the batch, as published"
        if self.options.inference == "search" and self.options.search_batch > 1:
            return f"latents of {self.options.search_batch} queries are searched for at once"
        return ""

    def phases(self) -> Sequence[Phase]:
        """Return the growth plan, one phase per stage, and the calibration after it.

        The calibration trains nothing. It shows real training images to the finished D and E and
        sets what their minibatch standard deviation is replaced by at scoring: the exact mean of
        the statistic under the final weights, where a moving average kept during training would
        mix in the values of weights that are gone.
        """
        options = self.options
        batch_sizes = options.batch_sizes
        if options.batch_size is not None:
            batch_sizes = {FIRST_RESOLUTION: options.batch_size}
        plan = growth_plan(self.spec.height, options.images, options.phase_images, batch_sizes)
        phases = [
            Phase(
                name=stage.name,
                images=stage.images,
                batch_size=stage.batch_size,
                resolution=stage.resolution,
                optimisers=partial(self._enter, stage),
                step=partial(self._step, stage),
            )
            for stage in plan
        ]
        if options.minibatch_stddev == "frozen":
            phases.append(
                Phase(
                    name="calibrate stddev",
                    images=min(CALIBRATION_IMAGES, math.ceil(options.images / 10)),
                    batch_size=plan[-1].batch_size,
                    resolution=self.spec.height,
                    optimisers=self._enter_calibration,
                    step=self._calibrate,
                )
            )
        return phases

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Fill ``needs`` for images ``[B, C, H, W]``; nothing else is computed."""
        check_images(images, self.spec, "pgan")
        networks = self._networks(averaged=True)
        infer = None if networks.encoder is not None else partial(self._search, networks)
        return trip_from_image(networks, images, needs, infer)

    def samples(self, count: int, generator: RandomSource) -> Tensor:
        """Return ``[count, C, H, W]`` images of G_ema in [-1, 1], comparable over time.

        During training they are made at the resolution and fade of the last step and upscaled.
        """
        latents = torch.randn(
            (count, self.options.latent_size), generator=generator, device=generator.device
        )
        images: Tensor = self.generator_ema(latents, self._resolution, self._fade)
        return upscale_nearest(images, self.spec.height // self._resolution).clamp(-1, 1)

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return sentences about a critic that has run away, from means of logged metrics.

        A critic with gradients of norm t cannot differ by more than t·2√(C·H·W) between two images
        in [-1, 1], the diameter of that cube, and the drift term holds its values near zero. The
        limit is the same while growing: at r of S pixels a side the cube has r/S of the diameter,
        and gradients there S/r of the norm.
        """
        limit = (
            2
            * self.options.wgan_target
            * math.sqrt(self.spec.channels * self.spec.height * self.spec.width)
        )
        return [
            f"the critic runs away: its mean on {kind} images is {metrics[name]:.3g}, beyond "
            f"±{limit:.3g}, the most that gradients of norm {self.options.wgan_target:g} allow"
            for name, kind in (("critic_real", "real"), ("critic_fake", "generated"))
            if abs(metrics.get(name, 0.0)) > limit
        ]

    def _enter(self, stage: Stage) -> Mapping[str, Optimizer]:
        """Begin a stage of growth with fresh optimisers."""
        self.train()
        self._show(stage, 0.0)
        return self._steps.renew_optimisers(self._networks())

    def _step(self, stage: Stage, batch: Batch) -> Mapping[str, Tensor]:
        """Train on one batch of a stage."""
        self._show(stage, batch.progress)
        return self._steps.step(self._networks(), batch, stage.done + batch.step)

    def _show(self, stage: Stage, progress: float) -> None:
        self._resolution, self._fade = stage.resolution, progress if stage.fading else 1.0

    def _enter_calibration(self) -> Mapping[str, Optimizer]:
        """Begin the calibration, which needs no optimiser."""
        self._steps.optimisers = {}
        self._resolution, self._fade = self.spec.height, 1.0
        return {}

    @torch.no_grad()
    def _calibrate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Take one batch of real training images into the frozen minibatch standard deviations."""
        metrics = {}
        for name, network in (("discriminator", self.discriminator), ("encoder", self.encoder)):
            if network is None:
                continue
            if batch.step == 0:
                network.stddev.reset()
            with tf32(False):
                network.stddev.accumulate(network.features(batch.images))
            metrics[f"stddev_{name}"] = network.stddev.mean.clone()
        return metrics

    def _search(self, networks: Networks, images: Tensor) -> Tensor:
        """Return the latents ``[B, Z]`` whose images are nearest to ``[B, C, H, W]``."""
        options = self.options
        objective = partial(
            residual_objective,
            generate=networks.generate,
            features=lambda x: networks.activations(x).flatten(1),
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

    def _networks(self, *, averaged: bool = False) -> Networks:
        """Return the networks as last trained, or finished and with the averaged generator."""
        if averaged:
            generator = cast("Generator", self.generator_ema.module)
            return Networks(generator, self.discriminator, self.encoder, self.spec.height)
        return Networks(
            self.generator, self.discriminator, self.encoder, self._resolution, self._fade
        )


def _check_losses(options: PganOptions, losses: Sequence[WeightedLoss]) -> None:
    """Raise `RecipeError` where an encoder has nothing to be trained by, or losses no encoder."""
    if options.inference == "encoder" and not losses:
        raise RecipeError(
            "backbone 'pgan' trains its encoder with encoder losses: expected at least one, "
            'got none. Add [[encoder-losses]] with use = "di", or set inference = "search"'
        )
    if options.inference == "search" and losses:
        raise RecipeError(
            "backbone 'pgan' with inference = \"search\" has no encoder: expected no encoder "
            f"losses, got {', '.join(loss.name for loss in losses)}. Remove [[encoder-losses]]"
        )
