"""The plugins that made a finished run, against those that are here now.

What a run keeps are weights and what scores learnt; the code is the plugin's. So where a plugin
was upgraded, scores may be others than those that thresholds were taken from, and that is told;
where one is gone, nothing of it can be computed.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from anokit.errors import RecipeError
from anokit.recipe.parts import Recipe
from anokit.registry.lookup import Registry

OF_FILE = "sha256:"
"""What the version of a one-file plugin begins with."""


def plugin_words(files: Sequence[Path] | None) -> list[str]:
    """Return the words of a command that name one-file plugins."""
    return [word for file in files or () for word in ("--plugin", str(file))]


def check_there(
    run: Path, made: Mapping[str, str], needed: Sequence[str], registry: Registry
) -> None:
    """Raise `RecipeError`, in one sentence, where plugins that a run needs are not loaded.

    ``made`` has the versions by name of those that the run was made with.
    """
    there = {plugin.name for plugin in registry.plugins}
    gone = [name for name in dict.fromkeys(needed) if name in made and name not in there]
    if not gone:
        return
    broken = {problem.plugin: problem.message for problem in registry.problems}
    files = [name for name in gone if made[name].startswith(OF_FILE)]
    failing = [f"{name} (it cannot be loaded: {broken[name]})" for name in gone if name in broken]
    away = [name for name in gone if name not in broken and name not in files]
    listed = [
        *failing,
        *(f"{name} {made[name]}" for name in away),
        *(f"{name}.py" for name in files if name not in broken),
    ]
    wanted = " ".join(shlex.quote(f"{name}=={made[name]}") for name in away)
    todo = ["see anokit list-plugins"] if failing else []
    todo += [f"install it again, such as by: pip install {wanted}"] if away else []
    todo += ["name it with --plugin"] if len(listed) > len(failing) + len(away) else []
    why = "cannot be used" if failing else "is not installed"
    raise RecipeError(
        f"{run}: was made with {', '.join(listed)}, which {why} in {sys.prefix}; "
        f"{', or '.join(todo)}"
    )


def changed(
    run: Path, recipe: Recipe, own: Mapping[str, str], by: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Return a sentence on each plugin of which a recipe has another version than the run.

    Parameters
    ----------
    recipe
        The run's, or one with other scores: what is new in it has no version that it should have.
    own
        Versions by name that the run itself was made with.
    by
        The same of each score that the run has; some were added later.
    """
    parts = [recipe.dataset, recipe.backbone, *recipe.encoder_losses]
    pairs = [(part.entry, own) for part in parts]
    for score in (*recipe.scores, *recipe.baselines):
        pairs += [(term.entry, by.get(score.name, {})) for term in score.terms]
    found = {}
    for entry, made in pairs:
        before = made.get(entry.plugin, entry.version)
        if before != entry.version:
            found[entry.plugin, before] = entry.version
    return [
        f"{run}: was made with {name} {before}, and {now} computes here: its scores may be others "
        f"than those that the run measured and took its thresholds from; use {name} {before}, or "
        "run anew"
        for (name, before), now in sorted(found.items())
    ]
