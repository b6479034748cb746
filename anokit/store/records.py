"""What the small files of a run directory hold, as models. Keys that are unknown are left aside."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

GALLERY_MAP, TRAIN_MAP = "gallery_map", "train_top_map"
"""What report.safetensors calls maps of the galleries' images, before ``/`` and a score's name."""

PLUGIN_FILES = "plugin_files"
"""Key of environment.json and of entries of added.json: SHA-256 of one-file plugins by name."""

EARLIER, TRAINS = "earlier", "trains"
"""Keys of environment.json: where a run was before, as it was then; whether weights were made."""

FOLDER = "folder"
"""Key of environment.json: the working directory from which relative names of images are seen."""


class Record(BaseModel):
    """A file of a run directory; what it says beyond its model is kept as it is."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class Shape(Record):
    """Shape of a run's images."""

    channels: int = Field(ge=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class Split(Record):
    """split.json: which images a run has."""

    fingerprint: str
    """of all images"""
    test_fingerprint: str | None = None
    spec: Shape
    train: int = Field(0, ge=0)
    test: int = Field(0, ge=0)
    contaminants: list[str] = []
    excluded: list[str] = []
    validation: list[str] = []
    """training images that no training step was shown, as the user knows them"""


class Session(Record):
    """What a run was made with until it went on elsewhere."""

    plugins: dict[str, str] = {}
    """versions by name"""
    trains: bool | None = None
    """whether the run was still training there; None where it began there"""


class Environment(Session):
    """environment.json: where and by whom a run was made, the last session of it."""

    started: str = ""
    """by the clock, as ISO 8601"""
    arguments: str | None = None
    """of ``anokit run``; None in runs that did not record it"""
    recipe: str | None = None
    """its name in results, whatever file the run is resumed by; None likewise"""
    folder: str = ""
    """from which relative names of its images are seen; empty in runs that did not record it"""
    packages: dict[str, str] = {}
    device: str = ""
    earlier: list[Session] = []
    """sessions before, of which something was kept"""
    plugin_files: dict[str, str] = {}


class NamedTable(Record):
    """A table of a recipe that has a name."""

    name: str


class RefineTable(Record):
    """``[training.refine]`` of a recipe."""

    score: str | None = None


class TrainingTable(Record):
    """``[training]`` of a recipe."""

    max_steps: int | None = None
    threads: int | None = None
    selection: str = "last"
    validation: float = 0.0
    refine: RefineTable | None = None


class EvaluationTable(Record):
    """``[evaluation]`` of a recipe."""

    folds: int | None = None


class Resolved(Record):
    """resolved.json, as far as any reader relies on it before components are looked up."""

    seed: int
    quick: bool = False
    dataset: dict[str, Any]
    backbone: dict[str, Any]
    encoder_losses: list[dict[str, Any]] = Field(alias="encoder-losses")
    scores: list[NamedTable] = Field(min_length=1)
    baselines: list[NamedTable] = []
    training: TrainingTable
    evaluation: EvaluationTable


class Place(Record):
    """How far training had come at a checkpoint."""

    phase: int
    step: int
    shown: int
    seconds: float
    afresh: bool = False


class OptimiserState(Record):
    """What a checkpoint says of an optimiser beside its tensors."""

    groups: list[dict[str, Any]]
    numbers: dict[str, dict[str, Any]]


class Checkpoint(Record):
    """The metadata of a checkpoint."""

    training: str
    """hash of all that decides the weights"""
    position: Place
    optimisers: dict[str, OptimiserState]
    meter: dict[str, int]
    warnings: list[str]
    judged: list[int] = []


class AddedScore(Record):
    """A score that was added to a finished run."""

    score: dict[str, Any]
    plugins: dict[str, str] = {}
    """versions by name"""
    plugin_files: dict[str, str] = {}
    warnings: list[str] = []
    """of the call that added it"""
    settings: dict[str, Any] = {}
    """what the run's recipe said of thresholds and evaluation; empty where that was not recorded"""


class Added(RootModel[dict[str, AddedScore]]):
    """added.json: scores that were added, by name."""


class Terms(RootModel[dict[str, list[tuple[str, float]]]]):
    """terms.json: labels and weights of the terms of each weighted sum, by score."""
