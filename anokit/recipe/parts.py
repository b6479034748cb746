"""Recipes: one TOML file that names components, checked against the registry without torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from anokit.plugin import Kind, Options
from anokit.recipe.tables import (
    DatasetKeys,
    EvaluationSettings,
    Settings,
    TermKeys,
    ThresholdSettings,
    TrainingSettings,
    WeightKey,
)
from anokit.registry.entries import Entry


@dataclass(frozen=True)
class Part:
    """A component as a recipe uses it."""

    entry: Entry
    options: Options
    keys: Settings = field(default_factory=Settings)
    """what the core, not the component, reads of the table"""

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe table that means the same, with all defaults filled."""
        options = self.options.model_dump(mode="json")
        return {"use": self.entry.qualified, **options, **self.keys.model_dump(mode="json")}

    @property
    def key(self) -> str:
        """Return what two uses with equal options share."""
        return f"{self.entry.qualified} {self.options.model_dump_json()}"


@dataclass(frozen=True)
class DatasetPart(Part):
    """The dataset of a recipe."""

    keys: DatasetKeys = field(default_factory=lambda: DatasetKeys.model_validate({}))


@dataclass(frozen=True)
class WeightedPart(Part):
    """A component with a weight: an encoder loss, or a term of a score."""

    keys: WeightKey = field(default_factory=lambda: WeightKey.model_validate({}))

    @property
    def weight(self) -> float:
        """Return the factor before it is added up."""
        return self.keys.weight


@dataclass(frozen=True)
class Term(WeightedPart):
    """A term of a score."""

    keys: TermKeys = field(default_factory=lambda: TermKeys.model_validate({}))

    def share_of_weight(self, images: int) -> float:
        """Return how much of its weight it has where so many images are learnt from, in (0, 1]."""
        return min(1.0, images / self.keys.full_weight_at) ** 2


CORE_KEYS: Mapping[Kind, type[Settings]] = {
    "backbone": Settings,
    "encoder-loss": WeightKey,
    "score": TermKeys,
    "dataset": DatasetKeys,
}
"""The core's own keys in the tables of each kind."""


@dataclass(frozen=True)
class NamedScore:
    """One score of a recipe: a weighted sum of one or more terms, as they are or standardised.

    Of standardised terms there may be several sums; then the score is the largest of them, or lies
    between that and the first, as far as the others count.
    """

    name: str
    terms: tuple[Term, ...]
    role: Literal["score", "baseline"] = "score"
    combine: Literal["sum", "robust-z"] = "sum"
    """robust-z: each term's training median is taken off it, and it is divided by their spread"""

    @property
    def sums(self) -> list[slice]:
        """The places of the terms of each sum."""
        starts = [n for n, term in enumerate(self.terms) if n == 0 or term.keys.alternative]
        return [slice(a, b) for a, b in pairwise([*starts, len(self.terms)])]

    @property
    def adds_up(self) -> bool:
        """Whether it is one sum of several terms, so that each has a share of it."""
        return len(self.terms) > 1 and len(self.sums) == 1

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe table that means the same, with all defaults filled."""
        terms = [term.as_dict() for term in self.terms]
        return {"name": self.name, "combine": self.combine, "terms": terms}


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and found right: every component exists and fits the others."""

    path: Path
    text: str
    """the file as it stands"""
    title: str
    seed: int
    requires: tuple[str, ...]
    dataset: DatasetPart
    backbone: Part
    encoder_losses: tuple[WeightedPart, ...]
    scores: tuple[NamedScore, ...]
    baselines: tuple[NamedScore, ...]
    training: TrainingSettings
    evaluation: EvaluationSettings
    threshold: ThresholdSettings
    published: Mapping[str, float]
    published_source: str
    published_differs: str
    """what differs from the publication, and why"""
    quick: bool = False
    given: str = ""
    """what `anokit run` finds it by: a path, or a name where a plugin ships it"""
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
    def argument_words(self) -> tuple[str, ...]:
        """Return the arguments of ``anokit run`` that give this recipe."""
        words = [self.given or str(self.path), *(["--quick"] if self.quick else [])]
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += [word for file in self.plugin_files for word in ("--plugin", str(file))]
        return tuple(words)

    @property
    def arguments(self) -> str:
        """Return these arguments quoted for a shell."""
        return shlex.join(self.argument_words)

    @property
    def plugins(self) -> frozenset[str]:
        """Return the names of the plugins whose components the recipe uses."""
        parts = (self.dataset, self.backbone, *self.encoder_losses)
        return self.score_plugins | {part.entry.plugin for part in parts}

    @property
    def score_plugins(self) -> frozenset[str]:
        """Return the names of the plugins whose scores the recipe uses."""
        scores = (*self.scores, *self.baselines)
        return frozenset(term.entry.plugin for score in scores for term in score.terms)

    @property
    def primary(self) -> NamedScore:
        """Return the first score: threshold, gallery and warnings are about this one."""
        return self.scores[0]

    def as_dict(self) -> dict[str, Any]:
        """Return a recipe that means the same, with all defaults filled; it reads back equal."""
        published: dict[str, Any] = dict(self.published)
        if self.published_source:
            published["source"] = self.published_source
        if self.published_differs:
            published["differs"] = self.published_differs
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
