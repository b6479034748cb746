"""Which checks a plugin has, and how pytest runs them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from packaging.version import Version

from anokit.errors import UsageError
from anokit.testing import (
    backbone_checks,
    backbone_training_checks,
    dataset_checks,
    loss_checks,
    metadata_checks,
    plugin_checks,
    readme_checks,
    score_checks,
    score_edge_checks,
    score_fit_checks,
    tensor_device_checks,
    watcher_checks,
)
from anokit.testing.backbone_subject import BackboneSubject
from anokit.testing.check import PROMISES, Check
from anokit.testing.dataset_subject import DatasetSubject
from anokit.testing.loss_checks import LossSubject
from anokit.testing.score_subject import ScoreSubject
from anokit.testing.subject import Sample, Subject, open_plugin
from anokit.testing.watcher_checks import WatcherSubject

if TYPE_CHECKING:
    import pytest

__all__ = ["collect_checks", "parametrize_checks"]

SUBJECTS: dict[str, type[Subject]] = {
    "backbone": BackboneSubject,
    "encoder-loss": LossSubject,
    "score": ScoreSubject,
    "dataset": DatasetSubject,
    "watcher": WatcherSubject,
}

SOURCES = (
    plugin_checks,
    metadata_checks,
    readme_checks,
    backbone_training_checks,
    backbone_checks,
    loss_checks,
    score_checks,
    score_edge_checks,
    score_fit_checks,
    tensor_device_checks,
    dataset_checks,
    watcher_checks,
)
"""Modules that are imported for the checks that they register."""


def collect_checks(
    module: ModuleType | str,
    *,
    samples: Mapping[str, Sample] | None = None,
    as_of: str | None = None,
) -> list[Check]:
    """Return every check of a plugin: of its module, then of each of its components.

    Parameters
    ----------
    module
        The module that the entry point names, such as ``acme_angle.plugin``.
    samples
        What the plugin supplies to test with, by component name, beside ``SAMPLES`` of a module
        ``samples`` in its package. For a dataset: a function of a
        folder that writes tiny data into it and returns options to read them. For a watcher: a
        function of a folder that returns options to write below it. For a score: a
        function without arguments that returns ``(ordinary, anomalous)`` round trips, at least
        four images each.
    as_of
        A version of anokit: leave out checks that came later.

    Examples
    --------
    >>> from anokit.testing import collect_checks
    >>> checks = collect_checks("anokit_pixels.plugin", as_of="0.1")
    >>> "check_component_summary[backbone pixels]" in [check.id for check in checks]
    True
    """
    loaded = importlib.import_module(module) if isinstance(module, str) else module
    plugin = open_plugin(loaded, samples)
    subjects = [SUBJECTS[entry.kind](plugin, entry) for entry in plugin.entries]
    found = [
        Check(p.name, plugin.name, p.since, p.text, partial(p.test, plugin))
        for p in PROMISES
        if p.about == "plugin"
    ]
    for subject in subjects:
        kind, name = subject.entry.kind, subject.entry.component.name
        for p in PROMISES:
            if p.about in ("component", kind):
                label = f"{kind} {name}" if p.about == "component" else name
                test = partial(p.test, subject)
                found.append(Check(p.name, label, p.since, p.text, test, subject.entry))
    return [c for c in found if as_of is None or Version(c.since) <= Version(as_of)]


def parametrize_checks(
    module: ModuleType | str,
    *,
    expected_failures: Mapping[str, str] | None = None,
    samples: Mapping[str, Sample] | None = None,
    as_of: str | None = None,
) -> pytest.MarkDecorator:
    """Run every check of a plugin as one test each; decorates ``def test_…(check): check()``.

    Parameters
    ----------
    module, samples, as_of
        As for `collect_checks`.
    expected_failures
        Reasons by check, for promises that a component breaks on purpose: the name of a check
        (``check_loss_zero_when_perfect``) or of one about one subject
        (``check_loss_zero_when_perfect[margin]``). They are strict: one that passes is a failure.

    Raises
    ------
    UsageError
        Where ``expected_failures`` names a check that this plugin does not have.

    Examples
    --------
    >>> import anokit_pixels.plugin
    >>> from anokit.testing import parametrize_checks
    >>> @parametrize_checks(anokit_pixels.plugin)
    ... def test_conformance(check):
    ...     check()
    """
    import pytest

    checks = collect_checks(module, samples=samples, as_of=as_of)
    excused = dict(expected_failures or {})
    names = {name for check in checks for name in (check.name, check.id)}
    for name in excused:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            did = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"expected_failures: no check is called {name!r}{did}")

    def marks(check: Check) -> list[pytest.MarkDecorator]:
        reason = excused.get(check.id, excused.get(check.name))
        return [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]

    return pytest.mark.parametrize(
        "check", [pytest.param(check, id=check.id, marks=marks(check)) for check in checks]
    )
