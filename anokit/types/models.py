"""What passes between the core and what computes: round trips, batches and phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.types.protocols import EncoderLoss

    UNFILLED = cast("Tensor", None)
else:
    UNFILLED = None


@dataclass(frozen=True)
class RoundTrip:
    """One trip through a model, begun at an image or at a sampled latent. Unfilled fields are None.

    ::

        from an image:     image     -> latent = E(image)  -> image_hat  = G(latent)
                                                           -> latent_hat = E(image_hat)
        from a latent z:   latent = z -> image = G(latent) -> latent_hat = E(image)
                                                           -> image_hat  = G(latent_hat)

    Fields are typed as tensors, since whoever reads one has declared it in ``needs`` and so finds
    it filled. Scoring is always a trip from an image.

    Examples
    --------
    >>> import torch
    >>> from anokit import RoundTrip
    >>> trip = RoundTrip(image=torch.zeros(2, 3, 8, 8), latent=torch.ones(2, 4))
    >>> sorted(trip.filled())
    ['image', 'latent']
    >>> trip.get("image_hat") is None
    True
    >>> trip.map(lambda tensor: tensor[:1]).latent
    tensor([[1., 1., 1., 1.]])
    """

    image: Tensor = UNFILLED
    """``[B, C, H, W]`` in [-1, 1]"""
    latent: Tensor = UNFILLED
    """``[B, Z]``"""
    image_hat: Tensor = UNFILLED
    """``[B, C, H, W]``; a linear generator may leave [-1, 1]"""
    latent_hat: Tensor = UNFILLED
    """``[B, Z]``"""
    features: Tensor = UNFILLED
    """``[B, F]`` of ``image``: discriminator or pretrained features, flattened or pooled"""
    features_hat: Tensor = UNFILLED
    """``[B, F]`` of ``image_hat``"""
    patches: Tensor = UNFILLED
    """``[B, F, h, w]``: feature map of ``image``"""
    patches_hat: Tensor = UNFILLED
    """``[B, F, h, w]``: what a student, a decoder or a diffusion predicts for ``patches``"""
    anomaly_map: Tensor = UNFILLED
    """``[B, h, w]`` of any resolution: the backbone's own map, of any value, higher = more
    anomalous"""
    critic: Tensor = UNFILLED
    """``[B]``: the discriminator's output for ``image``"""
    critic_hat: Tensor = UNFILLED
    """``[B]``: the discriminator's output for ``image_hat``"""
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    """What a backbone and its own scores agree on; named in needs and provides like the rest.
    Feature maps of several scales are entries ``patches.NAME`` and ``patches_hat.NAME``, each with
    a grid of its own, laid out like the field before the dot."""

    def filled(self) -> frozenset[str]:
        """Return the names of the filled fields, the keys of ``extra`` among them."""
        own = {f.name for f in fields(self) if f.name != "extra" and self.get(f.name) is not None}
        return frozenset(own | set(self.extra))

    def get(self, name: str) -> Tensor | None:
        """Return the field or the entry of ``extra`` called ``name``, or None if it is unfilled."""
        if name in ROUND_TRIP_FIELDS:
            return cast("Tensor | None", getattr(self, name))
        return self.extra.get(name)

    def map(self, change: Callable[[Tensor], Tensor]) -> RoundTrip:
        """Return the same trip with ``change`` applied to every filled field."""
        own = {
            name: change(value)
            for name in ROUND_TRIP_FIELDS
            if (value := self.get(name)) is not None
        }
        return RoundTrip(**own, extra={name: change(value) for name, value in self.extra.items()})


ROUND_TRIP_FIELDS = tuple(f.name for f in fields(RoundTrip) if f.name != "extra")
"""The fields of a round trip that every component knows, in reading order."""

LAYOUTS = {
    "image": "[B, C, H, W]",
    "latent": "[B, Z]",
    "features": "[B, F]",
    "patches": "[B, F, h, w]",
    "anomaly_map": "[B, h, w]",
    "critic": "[B]",
}


def layout_of(name: str) -> str:
    """Return the layout of a field of a round trip, such as ``[B, F, h, w]`` of ``patches``.

    A ``_hat`` field has that of the field which it belongs to, a scale ``patches.NAME`` that of
    ``patches``. An empty string for an entry of ``extra`` that the core does not know.

    Examples
    --------
    >>> from anokit.types import layout_of
    >>> layout_of("patches_hat.stage2")
    '[B, F, h, w]'
    """
    field, dot, _ = name.partition(".")
    layout = LAYOUTS.get(field.removesuffix("_hat"), "")
    return layout if not dot or layout == LAYOUTS["patches"] else ""


def mean_of_losses(losses: Tensor, opposite: Tensor) -> Tensor:
    """Return the plain mean of ``losses`` ``[B]``: what `Batch.average` is where nothing weighs."""
    return losses.mean()


@dataclass(frozen=True)
class Batch:
    """What one training step gets.

    Examples
    --------
    >>> import torch
    >>> from anokit import Batch
    >>> batch = Batch(
    ...     images=torch.zeros(2, 3, 8, 8),
    ...     indices=torch.tensor([4, 0]),
    ...     step=0,
    ...     progress=0.0,
    ...     generator=torch.Generator().manual_seed(0),
    ... )
    >>> noise = torch.randn(batch.images.shape, generator=batch.generator)
    >>> losses = torch.tensor([1.0, 3.0])
    >>> batch.average(losses, 1 / losses)
    tensor(2.)
    """

    images: Tensor
    """``[B, C, h, w]`` float32 in [-1, 1] on the device, box-downscaled to the resolution"""
    indices: Tensor
    """``[B]`` int64 on the CPU: places of the images in the training set"""
    step: int
    """steps done in this phase before this one"""
    progress: float
    """share of the phase's images that were shown before this step, in [0, 1)"""
    generator: Generator
    """on the device; source of every random draw, owned and checkpointed by the core"""
    average: Callable[[Tensor, Tensor], Tensor] = mean_of_losses
    """``average(losses, opposite)``, both ``[B]``, gives the scalar that a backbone minimises whose
    component says ``weighs_images``: the mean of ``losses``, or of what a recipe's ``[training]
    refine`` makes of them, where suspects count with ``opposite``: a loss that is small for an
    image that looks anomalous, such as 1 / losses"""


class ImageBatches(Protocol):
    """Some of the training images in a fixed order, each once; may be walked again.

    Examples
    --------
    >>> import torch
    >>> from anokit.types import ImageBatches
    >>> class Two:
    ...     def __len__(self):
    ...         return 2
    ...
    ...     def __iter__(self):
    ...         yield torch.zeros(2, 3, 8, 8)
    >>> held_out: ImageBatches = Two()
    """

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __iter__(self) -> Iterator[Tensor]:
        """Yield ``[B, C, h, w]`` float32 in [-1, 1] on the device, as steps see them."""
        ...


@dataclass(frozen=True)
class EpochEnd:
    """What a backbone is shown after an epoch of a phase. No image has a label.

    Examples
    --------
    >>> from anokit.types import EpochEnd
    >>> def look(end: EpochEnd):
    ...     if not len(end.validation):
    ...         return None
    ...     return {"brightness": sum(images.mean() for images in end.validation)}
    """

    train: ImageBatches
    """the images that steps are shown"""
    validation: ImageBatches
    """those that no step is shown, by the recipe's ``[training] validation``; none without it.
    They are unlabelled like the others, and may be anomalous"""
    last: bool
    """whether the phase is over"""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stage of training: what is trained, on how many images, at which resolution.

    Examples
    --------
    >>> import torch
    >>> from anokit import Phase
    >>> network = torch.nn.Linear(4, 4)
    >>> adam = torch.optim.Adam(network.parameters())
    >>> def step(batch):
    ...     rows = batch.images.flatten(1)
    ...     error = (network(rows) - rows).square().mean()
    ...     adam.zero_grad()
    ...     error.backward()
    ...     adam.step()
    ...     return {"error": error.detach()}
    >>> phase = Phase(
    ...     name="fit", step=step, optimisers=lambda: {"adam": adam}, batch_size=8, images=1_000
    ... )
    """

    name: str
    """shown in the progress display and written to metrics.jsonl; unique within a backbone"""
    step: Callable[[Batch], Mapping[str, Tensor]]
    """one optimiser step of each network; returns metrics as 0-d tensors on the device"""
    optimisers: Callable[[], Mapping[str, Optimizer]]
    """called on entry, which *is* the reset at a fade; the names key the checkpoint. A run that is
    resumed inside the phase calls it too, and then restores weights, buffers and optimisers"""
    batch_size: int
    """images per step, ≥ 1"""
    images: int | None = None
    """training images to show; either this or ``epochs``"""
    epochs: float | None = None
    """passes over the training set to make instead"""
    resolution: int | None = None
    """height and width that images are box-downscaled to; None keeps them as they are"""
    finished: Callable[[], bool] | None = None
    """asked after every step; True ends the phase before its images are shown. Whatever the answer
    depends on belongs into buffers of the backbone, so that a resumed run ends at the same step"""
    epoch_ended: Callable[[EpochEnd], Mapping[str, Tensor] | None] | None = None
    """called after every epoch of the phase and after its last step, in evaluation mode, in float32
    and without gradients; may return metrics as 0-d tensors, which are logged. It draws nothing at
    random, and what it learns or chooses belongs into buffers or weights of the backbone: so it is
    in the checkpoint, and a resumed run ends the same"""


class WeightedLoss(NamedTuple):
    """An encoder loss as a recipe names it.

    Examples
    --------
    >>> from anokit import WeightedLoss
    >>> mean = lambda trip: (trip.image - trip.image_hat).abs().mean()
    >>> WeightedLoss("mine", 0.5, mean, frozenset({"image", "image_hat"}), "image").weight
    0.5
    """

    name: str
    """as metrics name it"""
    weight: float
    """what the loss is multiplied by"""
    loss: EncoderLoss
    """called with a trip, gives a scalar"""
    needs: frozenset[str]
    """fields of a round trip that the loss reads"""
    trip_from: str
    """``"image"`` or ``"latent"``: where its trip starts"""
