"""The public API is frozen in public_api.txt: a change of it shows in review.

After a change that is meant::

    python -m anokit.authoring.public_api > tests/authoring/public_api.txt
"""

import sys
import types
from pathlib import Path

import pytest

from anokit import hookimpl
from anokit.authoring import public_api, sources, workspace
from anokit.plugin import hookspec
from anokit.registry import asking, discovery, hookspecs

FROZEN = Path(__file__).with_name("public_api.txt")
OTHERS = workspace.public_modules(Path(__file__).parent)


def test_the_public_surface_is_the_frozen_one():
    now = list(public_api.surface(OTHERS))
    frozen = FROZEN.read_text(encoding="utf-8").splitlines()
    gone, new = sorted(set(frozen) - set(now)), sorted(set(now) - set(frozen))
    changed = bool(gone or new)
    assert not changed, "\n".join(
        [
            "The public API changed. If that is meant, say so in CHANGELOG.md and freeze it anew:",
            "  python -m anokit.authoring.public_api > tests/authoring/public_api.txt",
            *(f"- {line}" for line in gone),
            *(f"+ {line}" for line in new),
        ]
    )
    assert now == frozen


def test_the_surface_sees_a_change_of_a_signature(monkeypatch):
    def seeded_order(count, seed, salt=0):
        """Return something else."""

    seeded_order.__module__ = "anokit.data"
    monkeypatch.setattr("anokit.data.seeded_order", seeded_order)
    changed = set(public_api.surface(OTHERS)) - set(FROZEN.read_text(encoding="utf-8").splitlines())
    assert "anokit.data.seeded_order(count, seed, salt=0)" in changed


def test_signatures_are_written_as_in_the_source():
    lines = "\n".join(public_api.surface(OTHERS))
    for noise in ("ForwardRef", " at 0x", "<class"):
        assert noise not in lines


@pytest.mark.parametrize("module", [*public_api.MODULES, *OTHERS])
def test_every_public_name_is_there_once_and_says_what_it_is(module):
    names = public_api.names(module)
    assert names
    assert len(names) == len(set(names))
    assert names == sources.names(module)
    for name in names:
        assert sources.first_sentence(sources.find(module, name)).endswith("."), name


def test_a_hook_that_will_go_warns_at_the_line_of_the_plugin(monkeypatch):
    def anokit_scores():
        """Offer scores."""
        return []

    old = types.ModuleType("old_hookspecs")
    for name in hookspecs.HOOKS:
        setattr(old, name, getattr(hookspecs, name))
    warning = FutureWarning("anokit_scores goes in 0.3; use anokit_something")
    old.anokit_scores = hookspec(lambda: None, warn_on_impl=warning)
    monkeypatch.setattr(asking, "hookspecs", old)
    plugin = types.ModuleType("kit_old")
    plugin.anokit_scores = hookimpl(anokit_scores)
    monkeypatch.setitem(sys.modules, "kit_old", plugin)
    with pytest.warns(FutureWarning, match="goes in 0.3") as caught:
        discovery.load(discovery.FoundPlugin("kit-old", "1", ("kit_old",)))
    assert caught[0].filename == __file__
