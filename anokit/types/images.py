"""What passes between the core and datasets: shapes, samples, splits and files in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ImageSpec:
    """Shape of every image of a dataset.

    Examples
    --------
    >>> from anokit import ImageSpec
    >>> spec = ImageSpec(channels=3, height=32, width=64)
    >>> str(spec)
    '3×32×64'
    """

    channels: int
    """1 for grey images, 3 for RGB"""
    height: int
    """in pixels"""
    width: int
    """in pixels"""

    def __str__(self) -> str:
        """Return ``channels×height×width``, as messages print it."""
        return f"{self.channels}×{self.height}×{self.width}"


class Sample(NamedTuple):
    """One image of a dataset.

    Examples
    --------
    >>> import torch
    >>> from anokit import Sample
    >>> sample = Sample(torch.zeros(3, 32, 32, dtype=torch.uint8), label=None, id="train/0.png")
    >>> sample.mask is None
    True
    """

    image: Tensor
    """uint8 ``[C, H, W]``"""
    label: int | None
    """0 normal, 1 anomalous; None outside the test set, where nothing is labelled"""
    id: str
    """unique within the dataset: a path, or a class and an index"""
    mask: Tensor | None = None
    """bool ``[H, W]``, True where anomalous; only in test sets that have masks"""


class Pieces(NamedTuple):
    """An image file as networks see it: as a whole, or cut into tiles.

    Examples
    --------
    >>> import torch
    >>> from anokit.types import Pieces
    >>> tiles = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    >>> pieces = Pieces(tiles, boxes=[(0, 0, 32, 32), (32, 0, 64, 32)], size=(64, 32))
    >>> len(pieces.images) == len(pieces.boxes)
    True
    """

    images: Tensor
    """uint8 ``[T, C, H, W]``, T ≥ 1"""
    boxes: Sequence[tuple[float, float, float, float]]
    """T times left, top, right, bottom in pixels of the file: what each one shows. A box may reach
    beyond the file, where its edges were repeated."""
    size: tuple[int, int]
    """width and height of the file in pixels"""
    clipped: tuple[float, float] | None = None
    """smallest and largest value of the file where some lie outside of what becomes 0 to 255"""


class ImageSplit(Protocol):
    """A `torch.utils.data.Dataset` of `Sample`s.

    A split that can hand over all its images at once has an attribute ``images``: uint8
    ``[N, C, H, W]``, a tensor or a NumPy memory map. The core then reads it in bulk. One that knows
    what its samples are (a class, a defect) has ``kinds``, a sequence of N strings; one whose
    samples are files has ``files``, N paths; one whose samples are tiles of larger images has
    ``parents``, N ids of those images (of which ``files`` are then the files): what is ranked,
    flagged and measured is then the image, by the largest score of its tiles.

    Examples
    --------
    >>> import torch
    >>> from anokit import Sample
    >>> class Noise:
    ...     def __len__(self):
    ...         return 10
    ...
    ...     def __getitem__(self, index):
    ...         source = torch.Generator().manual_seed(index)
    ...         image = torch.randint(256, (1, 8, 8), generator=source).byte()
    ...         return Sample(image, None, f"noise/{index}")
    >>> Noise()[3].id
    'noise/3'
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class DatasetSource(Protocol):
    """A dataset; built as ``factory(options)``. Constructing one never downloads anything.

    One that leaves out what it cannot read may have an attribute ``unread``: why, by the name of
    the file. A run lists them all at its end, and exits with 1.

    Examples
    --------
    >>> import numpy as np
    >>> from anokit import ImageSpec
    >>> from anokit.data import ArraySplit
    >>> class Grey:
    ...     protocol = "one-class"
    ...     notices = ()
    ...     contaminants = None
    ...     spec = ImageSpec(1, 8, 8)
    ...
    ...     def __init__(self, options):
    ...         images = np.zeros((4, 1, 8, 8), np.uint8)
    ...         self.train = ArraySplit(images, [f"train/{i}" for i in range(4)])
    ...         self.test = ArraySplit(images, [f"test/{i}" for i in range(4)], labels=[0, 0, 1, 1])
    >>> Grey(options=None).test[2].label
    1
    """

    @property
    def spec(self) -> ImageSpec:
        """Shape of every image."""
        ...

    @property
    def train(self) -> ImageSplit:
        """Taken as normal, in truth unlabelled."""
        ...

    @property
    def contaminants(self) -> ImageSplit | None:
        """Anomalies of the training split that a recipe's ``contamination`` may mix in."""
        ...

    @property
    def test(self) -> ImageSplit | None:
        """Labelled; None where there is no test set."""
        ...

    @property
    def protocol(self) -> str:
        """How normal and anomalous were defined, such as ``one-class``; stands in every result."""
        ...

    @property
    def notices(self) -> Sequence[str]:
        """Sentences that the run shows: unreadable files, a published but flawed split."""
        ...
