"""Options of every dataset of this package. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import Field, field_validator, model_validator

from anokit.plugin import Options

CifarClass = Literal[
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
CIFAR10_CLASSES: tuple[CifarClass, ...] = get_args(CifarClass)
"""CIFAR-10's classes in the order of its labels 0 to 9."""
Digit = Annotated[int, Field(ge=0, le=9)]
T = TypeVar("T")


class DigitsOptions(Options):
    """Options of ``digits``."""

    normal: tuple[Digit, ...] = Field(
        (0,), min_length=1, max_length=9, description="digits taken as normal, each 0 to 9"
    )
    size: int = Field(
        8, ge=4, le=512, description="side of the images in pixels; 8 is the original, 4 to 512"
    )
    test_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the normal and of the other digits held out, in (0, 1)",
    )
    draw_seed: int = Field(0, ge=0, description="seed of the draw of the test set")

    @field_validator("normal")
    @classmethod
    def _each_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return each_once(value)


class Cifar10Options(Options):
    """Options of ``cifar10``."""

    root: str = Field("data", description="folder that holds cifar-10-batches-py/")
    protocol: Literal["one-class", "one-class-abnormal"] = Field(
        "one-class",
        description="one-class: the classes in `normal` are normal, all others anomalous; "
        "one-class-abnormal: the classes in `abnormal` are anomalous, all others normal",
    )
    normal: tuple[CifarClass, ...] | None = Field(
        None,
        min_length=1,
        max_length=9,
        description='normal classes, for protocol "one-class" only; unset, automobile',
    )
    abnormal: tuple[CifarClass, ...] | None = Field(
        None,
        min_length=1,
        max_length=9,
        description='anomalous classes, for protocol "one-class-abnormal" only, and needed there',
    )
    size: Literal[4, 8, 16, 32, 64, 128] = Field(
        32, description="side of the images in pixels: box mean below 32, bilinear above"
    )
    test_size: int | None = Field(
        None,
        ge=1,
        description="test images of each label, at most those there are; unset, as published: "
        "1000 + 1000 for one-class, all 9000 + 6000 for one-class-abnormal with one class",
    )
    max_train: int | None = Field(
        None, ge=1, description="train on a seeded subset of at most this many images"
    )
    max_test: int | None = Field(
        None,
        ge=2,
        description="test on a seeded subset of at most this many, in the same proportions",
    )
    draw_seed: int = Field(0, ge=0, description="seed of every draw: test set and subsets")

    @field_validator("normal", "abnormal")
    @classmethod
    def _each_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return value and each_once(value)

    @model_validator(mode="after")
    def _classes_fit_protocol(self) -> Self:
        if self.protocol == "one-class" and self.abnormal is not None:
            raise ValueError(
                'protocol "one-class" is told its `normal` classes, got `abnormal`; '
                'remove it, or set protocol = "one-class-abnormal"'
            )
        if self.protocol == "one-class-abnormal" and (
            self.abnormal is None or self.normal is not None
        ):
            raise ValueError(
                'protocol "one-class-abnormal" is told its `abnormal` classes and nothing else: '
                'set abnormal = ["automobile"], say, and remove `normal`'
            )
        return self

    def normal_classes(self) -> tuple[str, ...]:
        """Return the names of the normal classes, in the order of CIFAR-10's labels."""
        if self.abnormal is not None:
            return tuple(name for name in CIFAR10_CLASSES if name not in self.abnormal)
        wanted = self.normal or ("automobile",)
        return tuple(name for name in CIFAR10_CLASSES if name in wanted)


class KthOptions(Options):
    """Options of ``kth-cellvideos``."""

    root: str = Field(
        "data/kth", description="an experiment folder, or a folder that holds several of them"
    )
    labels: Literal["ground-truth", "exported"] = Field(
        "ground-truth",
        description="ground-truth: Analysis/<sequence>_GT/TRA; exported: "
        "Analysis/CellData<version>/RES/<sequence>_RES",
    )
    version: str | None = Field(
        None,
        description='the <version> of labels = "exported"; unset, the only one there is',
    )
    field: int = Field(
        64, ge=8, le=512, description="side of the neighbourhood that is cut out, in frame pixels"
    )
    size: int = Field(
        64, ge=4, le=512, description="side of the images, which crops are resized to, in pixels"
    )
    copies: int = Field(
        3,
        ge=0,
        le=16,
        description="copies of every training object and contaminant, turned by random angles",
    )
    split: Literal["track", "detection"] = Field(
        "track",
        description="track: a cell with its mother and daughters is on one side; detection, as "
        "published: single detections are drawn, and the same cell is on both sides",
    )
    test_size: int = Field(
        256, ge=1, description="test images of each label, at most half of those there are"
    )
    max_train: int | None = Field(
        None,
        ge=1,
        description="train on a seeded subset of at most this many crops, copies included",
    )
    draw_seed: int = Field(0, ge=0, description="seed of the split, the angles and the subset")
    cache: str | None = Field(
        None, description="folder for the extracted crops; unset, <root>-crops beside the root"
    )
    simulated_sequences: int = Field(
        8, ge=1, le=1000, description="sequences that a simulation draws"
    )
    simulated_frames: int = Field(
        20, ge=2, le=10_000, description="frames of every simulated sequence"
    )
    simulation_seed: int = Field(0, ge=0, description="seed of the simulation")


def each_once(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return ``values``, or raise ValueError naming one that occurs twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} is listed twice")
    return values
