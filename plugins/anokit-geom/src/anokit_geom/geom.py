"""GEOM: a network that tells apart geometric transformations of images taken as normal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax
from torch.optim import Adam

from anokit.errors import DataError
from anokit.nn import autocast, check_images, uses_bf16
from anokit.types import Phase, RoundTrip
from anokit_geom.transformations import apply, choose, pixel_maps
from anokit_geom.wide_resnet import WideResNet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_geom.plugin import GeomOptions

SMALLEST = 8
"""Least side of an image in pixels."""

PASSES = 200
"""Training images are shown about so often in all, whatever the number of transformations."""

AT_ONCE, AT_ONCE_ON_CPU = 2304, 48
"""Transformed images that go through the network at once when images are scored. On a processor few
are faster, since what lies between two layers then stays in its cache."""

LEAST_LOSS = 1e-6
"""Keeps −log(1 − p) finite where p rounds to 1."""


class Geom(nn.Module):
    """Classifier of the transformation t that an image x had, trained by −log p(t | T_t(x)).

    A query makes one pass for each transformation; the extra field ``transformations``
    ``[B, T, T]`` of its trip holds log p(j | T_t(x)) in row t, column j. ``features`` are those of
    the image as it is. All weights are drawn from torch's default generator on construction.

    The published training set is a shuffled list of all pairs of image and transformation. Here
    images come in the core's order, each batch is dealt its transformations from shuffled packs of
    all T, and T passes over the images make an epoch: within a batch no transformation is had more
    than once more than another, and over the training pairs are had equally often in expectation.

    Source: Golan, El-Yaniv, "Deep anomaly detection using geometric transformations" (2018).

    Raises
    ------
    DataError
        Where images are not square, or smaller than 8 pixels.
    """

    maps: Tensor
    """``[T, s²]`` int64: see `pixel_maps`"""

    def __init__(
        self,
        options: GeomOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        if spec.height != spec.width or spec.height < SMALLEST:
            size = max(SMALLEST, spec.height, spec.width)
            raise DataError(
                f"backbone 'geom' turns images by quarters and so takes square ones of at least "
                f"{SMALLEST} pixels: got {spec} (channels×height×width); set [dataset] "
                f"size = {size}"
            )
        self.options = options
        self.spec = spec
        self.transformations = choose(options.share)
        shift = round(options.shift * spec.height)
        maps = pixel_maps(self.transformations, spec.height, shift)
        self.register_buffer("maps", maps, persistent=False)
        self.network = WideResNet(spec.channels, options.depth, options.widen, len(maps))
        self.progress: Callable[[float], None] | None = None
        self._adam: Adam

    def phases(self) -> Sequence[Phase]:
        """Return the one phase: `PASSES` over the training images, rounded up to whole epochs."""
        options, count = self.options, len(self.transformations)
        epochs = math.ceil(PASSES / count) if options.epochs is None else options.epochs
        return [
            Phase(
                name="train",
                step=self._step,
                optimisers=self._start,
                batch_size=options.batch_size,
                images=options.images,
                epochs=epochs * count if options.images is None else None,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Classify every transformation of ``[B, C, s, s]``, or describe images as they are.

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "geom")
        own = {"image": images} if "image" in needs else {}
        if "features" in needs:
            own["features"] = self.network.features(
                images.contiguous(memory_format=torch.channels_last)
            )
        extra = {}
        if "transformations" in needs:
            extra["transformations"] = self._classify(images)
        return RoundTrip(**own, extra=extra)

    def _classify(self, images: Tensor) -> Tensor:
        """Return log p(j | T_t(x)): ``[B, C, s, s] -> [B, T, T]``."""
        count = len(self.maps)
        pairs = torch.arange(len(images) * count, device=images.device)
        found = []
        for some in torch.split(pairs, AT_ONCE if images.device.type != "cpu" else AT_ONCE_ON_CPU):
            logits = self.network(apply(images[some // count], self.maps[some % count]))
            found.append(log_softmax(logits.float(), dim=1))
            if self.progress is not None:
                self.progress(len(some) / len(pairs))
        return torch.cat(found).view(len(images), count, count)

    def _start(self) -> Mapping[str, Optimizer]:
        parameters = list(self.network.parameters())
        # ε is Keras's default, as the released code leaves it (recalled, unverified).
        self._adam = Adam(
            parameters,
            lr=self.options.learning_rate,
            eps=1e-7,
            weight_decay=self.options.weight_decay,
            fused=all(p.device.type in {"cpu", "cuda"} for p in parameters),
        )
        return {"network": self._adam}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images
        wanted = self._deal(len(images), batch.generator)
        transformed = apply(images, self.maps[wanted])
        with autocast(images.device, uses_bf16(images.device, self.options.precision)):
            logits = self.network(transformed)
        losses = cross_entropy(logits.float(), wanted, reduction="none")

        # An image supposed anomalous should not be recognised: −log(1 − p) (Qiu et al., "Latent
        # outlier exposure for anomaly detection with contaminated data", arXiv 2202.08088).
        opposite = -torch.log(-torch.expm1(-losses.clamp(min=LEAST_LOSS)))
        loss = batch.average(losses, opposite)
        self._adam.zero_grad()
        torch.autograd.backward(loss)
        self._adam.step()
        right = logits.detach().argmax(dim=1) == wanted
        return {"loss": loss.detach(), "accuracy": right.float().mean()}

    def _deal(self, count: int, generator: Generator) -> Tensor:
        """Return which transformation each image of a batch gets: ``[count]`` int64."""
        kinds = len(self.maps)
        packs = torch.rand(
            -(-count // kinds), kinds, generator=generator, device=self.maps.device
        ).argsort(dim=1)
        return packs.flatten()[:count]
