"""What all backbones of this package are: an encoder and a generator that learn against critics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from anokit.nn import autocast, check_images, uses_bf16
from anokit.types import Phase, RoundTrip
from anokit_bigan.averaging import average_of, forget_statistics
from anokit_bigan.training import adam, prior

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.nn import ExponentialMovingAverage
    from anokit.types import Batch, ImageSpec
    from anokit_bigan.layers import Encoder, Judgement
    from anokit_bigan.plugin import BidirectionalOptions

JUDGED = {
    "": frozenset({"features", "critic"}),
    "_hat": frozenset({"features_hat", "critic_hat", "logit_hat"}),
}
"""What a judgement fills, of an image and of its reconstruction."""


class Bidirectional(nn.Module, ABC):
    """Encoder E: x → ẑ and generator G: z → x̃, the average of each, and what children add.

    A child names its discriminators and their averages, learns from a batch (`_learn`), shows
    batches to the averaged networks (`_show`) and judges trips (`_judge`).

    Scoring uses the averages, in evaluation mode. The last phase, ``calibrate norms``, trains
    nothing: it shows training images and sampled latents to the averages, as training did but
    without dropout, and takes the statistics of their batch norms from that, since the running ones
    are of weights that were never averaged. The vectors of spectral norms settle on the way.
    """

    name: ClassVar[str]
    judges_latents: ClassVar[bool] = True
    """whether features and critic are of an image and a latent, or of images alone"""

    def __init__(
        self,
        options: BidirectionalOptions,
        spec: ImageSpec,
        encoder: Encoder,
        generator: nn.Module,
    ) -> None:
        super().__init__()
        self.options = options
        self.spec = spec
        self.encoder = encoder
        self.generator = generator
        self.encoder_ema = average_of(encoder, options.ema)
        self.generator_ema = average_of(generator, options.ema)

    @abstractmethod
    def discriminators(self) -> Sequence[nn.Module]:
        """Return the networks that learn against E and G."""

    def averages(self) -> Sequence[tuple[ExponentialMovingAverage, nn.Module]]:
        """Return each average with the network that it follows."""
        return [(self.encoder_ema, self.encoder), (self.generator_ema, self.generator)]

    def phases(self) -> Sequence[Phase]:
        """Return the training, in which discriminators and E with G take turns, and calibration."""
        options = self.options
        phases = [
            Phase(
                name="train",
                step=self._step,
                optimisers=self._start,
                batch_size=options.batch_size,
                images=options.images,
                epochs=options.epochs if options.images is None else None,
                finished=self._finished(),
            )
        ]
        if options.calibrate_images:
            phases.append(
                Phase(
                    name="calibrate norms",
                    step=self._calibrate,
                    optimisers=dict,
                    batch_size=options.batch_size,
                    images=options.calibrate_images,
                )
            )
        return phases

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Encode, decode and judge ``[B, C, H, W]``, just as far as ``needs`` asks.

        ``critic`` and ``critic_hat`` are logits; ``logit_hat`` is ``critic_hat`` by a name that
        says so, for scores to which a probability would mean something else.

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, self.name)
        fields = {"image": images}
        decoded = bool(needs & ({"image_hat", "latent_hat"} | JUDGED["_hat"]))
        if decoded or "latent" in needs or (self.judges_latents and needs & JUDGED[""]):
            fields["latent"] = self.encoder_ema(images)
        if decoded:
            fields["image_hat"] = self.generator_ema(fields["latent"])
        if "latent_hat" in needs:
            fields["latent_hat"] = self.encoder_ema(fields["image_hat"])
        for suffix, names in JUDGED.items():
            if needs & names:
                judgement = self._judge(fields, f"image{suffix}")
                fields[f"features{suffix}"] = judgement.features
                fields[f"critic{suffix}"] = judgement.logits
        asked = {name: value for name, value in fields.items() if name in needs}
        extra = {"logit_hat": judgement.logits} if "logit_hat" in needs else {}
        return RoundTrip(**asked, extra=extra)

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
                "the discriminator tells encoded images from generated ones without fail "
                f"({fake:.3f} against {real:.3f}): it no longer guides encoder and generator"
            )
            return [text]
        return []

    @abstractmethod
    def _learn(self, batch: Batch, z: Tensor) -> Mapping[str, Tensor]:
        """Take a step of the discriminators and one of E and G; return metrics with their graphs.

        ``z`` ``[B, Z]`` was drawn from N(0, I).
        """

    @abstractmethod
    def _show(self, images: Tensor, z: Tensor, random: Generator) -> None:
        """Run the averaged networks on all that they met in training."""

    @abstractmethod
    def _judge(self, fields: Mapping[str, Tensor], name: str) -> Judgement:
        """Judge the field called ``name`` of a trip: the image, or its reconstruction."""

    def _finished(self) -> Callable[[], bool] | None:
        """Return what ends the training early, if anything does."""
        return None

    def _start(self) -> Mapping[str, Optimizer]:
        if self._device().type == "cuda":
            self.to(memory_format=torch.channels_last)
        rate = self.options.learning_rate
        self._adam_d = adam(self.discriminators(), rate)
        self._adam_g = adam([self.encoder, self.generator], rate)
        return {"discriminator": self._adam_d, "generator": self._adam_g}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        options = self.options
        z = prior(len(batch.images), options.latent_size, batch.images, batch.generator)
        metrics = self._learn(batch, z)
        span = max(1.0, options.ema_rampup * batch.step)
        for average, network in self.averages():
            average.update(network, min(options.ema, 1 - 1 / span))
        return {name: value.detach() for name, value in metrics.items()}

    @torch.no_grad()
    def _calibrate(self, batch: Batch) -> Mapping[str, Tensor]:
        if batch.step == 0:
            forget_statistics(average for average, _ in self.averages())
        images, size = batch.images, self.options.latent_size
        self._show(images, prior(len(images), size, images, batch.generator), batch.generator)
        return {}

    def _half(self) -> torch.autocast:
        """Return the context of a training step's passes: bfloat16 where that is asked for."""
        device = self._device()
        return autocast(device, uses_bf16(device, self.options.precision))

    def _device(self) -> torch.device:
        return next(self.encoder.parameters()).device


def channels_last(images: Tensor) -> Tensor:
    """Return images in the layout that convolutions of the device like."""
    return images.contiguous(memory_format=torch.channels_last) if images.is_cuda else images
