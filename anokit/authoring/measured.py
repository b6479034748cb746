"""Results that were measured, kept beside the pages: ``python -m anokit.authoring.measured RUN …``.

Of every run directory named, what `anokit.authoring.systems` needs goes to ``docs/measured/``: how
the run was made, a digest of the recipe that it followed, and its results.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from anokit.errors import CheckpointError
from anokit.recipe.parts import Recipe
from anokit.recipe.reading import load_recipe
from anokit.registry.lookup import Registry
from anokit.results.rows import Results, read_results
from anokit.store.files import write_text
from anokit.store.run_directory import RunDirectory

FOLDER = "measured"
"""Where they lie, beside the pages."""

MACHINE = ("training.threads=", "dataset.root=", "backbone.precision=")
"""Settings that follow from the machine on which a run is made."""

SHOWN = ("name", "kind", "selection", "batch", "metrics")
"""What is kept of each line of the results; of its metrics AUROC alone."""

LONGEST = 80
"""Characters of a file's name; what is longer ends in a hash of the rest."""

ABOUT_FIGURES = (
    *("seed", "dataset", "backbone", "encoder-losses", "scores", "baselines"),
    *("training", "evaluation"),
)
"""Tables of a resolved recipe that decide its figures."""


class Measured(BaseModel):
    """A run whose figures the pages show."""

    arguments: str
    """of ``anokit run``, which make it again"""
    digest: str
    """of what decides its figures in the recipe as it was"""
    packages: dict[str, str] = {}
    device: str = ""
    results: Results

    @classmethod
    def of(cls, path: Path) -> Measured:
        """Read a finished run directory; raise `CheckpointError` where it is damaged."""
        directory = RunDirectory(path)
        environment = directory.environment()
        first, *rest = shlex.split(environment.arguments or "")
        return cls(
            arguments=shlex.join([Path(first).stem, *rest]),
            digest=digest_of(directory.resolved()),
            packages=environment.packages,
            device=environment.device,
            results=read_results(directory),
        )

    @property
    def settings(self) -> list[str]:
        """Return the ``--set`` arguments but for those that name the machine."""
        return [value for value in settings_in(self.arguments) if not value.startswith(MACHINE)]

    @property
    def name(self) -> str:
        """Return what its file is called: the same for whoever measures it again."""
        words = [self.results.recipe, *(["quick"] if self.results.quick else []), *self.settings]
        name = re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-")
        if len(name) <= LONGEST:
            return name
        rest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: LONGEST - 9].rstrip('-')}-{rest}"

    def is_current(self, registry: Registry) -> bool:
        """Return whether its arguments still mean the recipe that it followed."""
        first, *rest = shlex.split(self.arguments)
        settings, quick = settings_in(self.arguments), "--quick" in rest
        recipe = load_recipe(Path(first), registry, quick=quick, settings=settings)
        return digest_of(recipe.as_dict()) == self.digest


def settings_in(arguments: str) -> list[str]:
    """Return the values of ``--set`` among the arguments of ``anokit run``."""
    pairs = itertools.pairwise(shlex.split(arguments))
    return [value for word, value in pairs if word == "--set"]


def digest_of(resolved: Mapping[str, Any]) -> str:
    """Return a hash over all of a resolved recipe that decides its figures.

    What is unset is left out, so that a key that comes to be later changes none.
    """
    content = _set_alone({key: resolved[key] for key in ABOUT_FIGURES})
    content["training"].pop("threads", None)
    content["dataset"].pop("root", None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _set_alone(value: Any) -> Any:
    """Return JSON content without the entries of its objects that are null."""
    if isinstance(value, Mapping):
        return {key: _set_alone(one) for key, one in value.items() if one is not None}
    return [_set_alone(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Shelf:
    """All that was measured, in order of name."""

    kept: tuple[Measured, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Shelf:
        """Read every file of a folder, which need not be there.

        Raises
        ------
        CheckpointError
            Where one is damaged.
        """
        found = []
        for path in sorted(folder.glob("*.json")):
            try:
                found.append(Measured.model_validate_json(path.read_text(encoding="utf-8")))
            except (OSError, ValidationError) as error:
                raise CheckpointError(f"{path}: damaged: {error}") from None
        return cls(tuple(found))

    def of(self, recipe: Recipe | str) -> list[Measured]:
        """Return the runs of a recipe."""
        name = recipe if isinstance(recipe, str) else recipe.name
        return [measured for measured in self.kept if measured.results.recipe == name]


def keep(run: Path, folder: Path) -> Path:
    """Write what is kept of a run into ``folder`` and return the file."""
    measured = Measured.of(run)
    path = folder / f"{measured.name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = measured.model_dump(mode="json", exclude_defaults=True)
    content["results"].pop("explanations", None)
    rows = content["results"].get("rows", [])
    content["results"]["rows"] = [{k: row[k] for k in SHOWN if k in row} for row in rows]
    for row in content["results"]["rows"]:
        row["metrics"] = {"auroc": (row.get("metrics") or {}).get("auroc")}
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        keep(Path(argument), Path("docs") / FOLDER)
