"""Recipes: one TOML file that names components, checked against the registry without torch."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from anokit.discovery import Entry
from anokit.errors import RecipeError, UsageError
from anokit.overrides import apply_setting, merge
from anokit.plugin import Options


class Settings(BaseModel):
    """Base of the recipe tables that belong to the core."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingSettings(Settings):
    """``[training]``: what the loop does beside the backbone's own schedule."""

    checkpoint_minutes: float = Field(5.0, ge=0, description="minutes between two checkpoints")
    log_every: int = Field(50, ge=1, description="steps between two lines of metrics.jsonl")
    snapshots: int = Field(8, ge=0, description="grids of sample images over the whole training")
    max_steps: int | None = Field(
        None, ge=1, description="stop every phase after so many steps: to try out a recipe"
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads while training; unset: as torch chooses. Networks of a few dozen "
        "channels train faster with 1, since sharing such small steps costs more than it saves",
    )
    selection: Literal["last", "best-on-test"] = Field(
        "last",
        description="weights that are kept: those after the last step, or, as some papers do, the "
        "ones with the best AUROC of the primary score on the test set, looked at after every "
        "epoch of the last phase; that reads test labels, and every line of the result says so",
    )


class EvaluationSettings(Settings):
    """``[evaluation]``: how images are scored and figures are made."""

    batch_size: int = Field(
        64,
        ge=1,
        description="images scored at once; no score depends on it, unless an option asks for that",
    )
    order: Literal["stored", "by-label"] = Field(
        "stored",
        description="order in which test images are scored: as the dataset has them, or, as some "
        "papers do, normal ones first; makes a difference only where an option makes scores depend "
        "on the batch, and every line of the result then says so",
    )
    resamples: int = Field(1000, ge=1, description="bootstrap resamples behind every 95 % interval")
    max_train_images: int = Field(
        5000,
        ge=1,
        description="seeded subset of the training set scored for threshold and report",
    )
    gallery: int = Field(8, ge=0, description="images in each row of the report's gallery")


class ThresholdSettings(Settings):
    """``[threshold]``: where anomalous begins, chosen without a label."""

    quantile: float = Field(
        0.98,
        gt=0,
        lt=1,
        description="quantile of the training images' scores that is the threshold",
    )


class RecipeTables(BaseModel):
    """The top level of a recipe. Component tables are read by the registry's components."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    title: str = Field("", description="one line, shown in results and on top of the report")
    seed: int = Field(1000, ge=0, lt=2**63, description="source of every random draw of the run")
    requires: list[str] = Field(
        [], description='plugins that must be installed, such as "anokit-pgan>=0.1"'
    )
    baselines: list[str | dict[str, Any]] = Field(
        [], description="fitted scores of raw images, printed under the recipe's own scores"
    )
    dataset: dict[str, Any] = Field(description="the images: `use` names a dataset")
    backbone: dict[str, Any] = Field(description="the model: `use` names a backbone")
    encoder_losses: list[dict[str, Any]] = Field(
        [], alias="encoder-losses", description="terms that train the encoder, each with a `weight`"
    )
    scores: list[dict[str, Any]] = Field(
        description="what is computed for every image; the first is the primary score", min_length=1
    )
    training: TrainingSettings = TrainingSettings.model_validate({})
    evaluation: EvaluationSettings = EvaluationSettings.model_validate({})
    threshold: ThresholdSettings = ThresholdSettings.model_validate({})
    published: dict[str, str | float] = Field(
        {}, description="figures of a paper by score name, with their `source`"
    )
    quick: dict[str, Any] = Field(
        {}, description="tables laid over the recipe by --quick; arrays replace"
    )


@dataclass(frozen=True)
class Part:
    """A component as a recipe uses it."""

    entry: Entry
    options: Options

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe table that means the same, with all defaults filled."""
        return {"use": self.entry.qualified, **self.options.model_dump(mode="json")}

    @property
    def key(self) -> str:
        """Return what two uses with equal options share."""
        return f"{self.entry.qualified} {self.options.model_dump_json()}"


@dataclass(frozen=True)
class Dataset(Part):
    """The dataset of a recipe with the core's keys of its table."""

    contamination: float = 0.0
    contaminants_from_test: float = 0.0
    when_missing: Literal["error", "simulate"] = "error"

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe table that means the same, with all defaults filled."""
        return {
            **super().as_dict(),
            "contamination": self.contamination,
            "contaminants_from_test": self.contaminants_from_test,
            "when_missing": self.when_missing,
        }


@dataclass(frozen=True)
class Weighted(Part):
    """A component with a weight: an encoder loss, or a term of a score."""

    weight: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe table that means the same, with all defaults filled."""
        return {**super().as_dict(), "weight": self.weight}


@dataclass(frozen=True)
class NamedScore:
    """One score of a recipe: a weighted sum of one or more terms."""

    name: str
    terms: tuple[Weighted, ...]
    role: Literal["score", "baseline"] = "score"

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe table that means the same, with all defaults filled."""
        return {"name": self.name, "terms": [term.as_dict() for term in self.terms]}


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and found right: every component exists and fits the others."""

    path: Path
    text: str
    """the file as it stands"""
    title: str
    seed: int
    requires: tuple[str, ...]
    dataset: Dataset
    backbone: Part
    encoder_losses: tuple[Weighted, ...]
    scores: tuple[NamedScore, ...]
    baselines: tuple[NamedScore, ...]
    training: TrainingSettings
    evaluation: EvaluationSettings
    threshold: ThresholdSettings
    published: Mapping[str, float]
    published_source: str
    quick: bool = False
    settings: tuple[str, ...] = ()
    """the ``--set`` arguments that it was read with"""
    plugin_files: tuple[Path, ...] = ()
    """the ``--plugin`` files that it was read with"""
    notices: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """Return the stem of the file; run directories are named for it."""
        return self.path.stem

    @property
    def arguments(self) -> str:
        """Return the arguments of ``anokit run`` that give this recipe, quoted for a shell."""
        words = [str(self.path), *(["--quick"] if self.quick else [])]
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += [word for file in self.plugin_files for word in ("--plugin", str(file))]
        return shlex.join(words)

    @property
    def primary(self) -> NamedScore:
        """Return the first score: threshold, gallery and warnings are about this one."""
        return self.scores[0]

    def as_dict(self) -> dict[str, Any]:
        """Return a recipe that means the same, with all defaults filled; it reads back equal."""
        published: dict[str, Any] = dict(self.published)
        if self.published_source:
            published["source"] = self.published_source
        return {
            "title": self.title,
            "seed": self.seed,
            "requires": list(self.requires),
            "dataset": self.dataset.as_dict(),
            "backbone": self.backbone.as_dict(),
            "encoder-losses": [loss.as_dict() for loss in self.encoder_losses],
            "scores": [score.as_dict() for score in self.scores],
            "baselines": [score.as_dict() for score in self.baselines],
            "training": self.training.model_dump(mode="json"),
            "evaluation": self.evaluation.model_dump(mode="json"),
            "threshold": self.threshold.model_dump(mode="json"),
            "published": published,
        }


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text and the tables of a TOML file.

    Raises
    ------
    UsageError
        Where there is no such file.
    RecipeError
        Where it is not TOML, with file, line and column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        listed = f"; in {path.parent} there are: {', '.join(near)}" if near else ""
        raise UsageError(f"{path}: no such recipe{listed}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a recipe: {error}") from None
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        line, column = (
            [part.split()[-1] for part in place.rstrip(")").split(",")]
            if "line" in place
            else (
                str(text.count("\n") + 1),
                "1",
            )
        )
        raise RecipeError(f"{path}:{line}:{column}: not valid TOML: {message}") from None


def change_tables(
    data: Mapping[str, Any], *, quick: bool, settings: Sequence[str]
) -> dict[str, Any]:
    """Return the tables after ``[quick]`` (where asked for) and then ``--set``."""
    changes = data.get("quick", {}) if quick else {}
    # What is no table is left for the recipe's own check to refuse.
    tables = merge(data, changes if isinstance(changes, dict) else {})
    for setting in settings:
        apply_setting(tables, setting)
    return tables
