"""``anokit check-plugin``: run the checks without pytest and print what they found."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from unittest import SkipTest

from anokit.errors import UsageError
from anokit.registry import discovery
from anokit.registry.blame import asked_for
from anokit.registry.entries import FoundPlugin
from anokit.store.certificate import Certificate, Outcome, code_of, write_certificate
from anokit.testing.causes import grouped, place_of_failure, words_of
from anokit.testing.check import Check, CheckWarning
from anokit.testing.collect import collect_checks
from anokit.testing.subject import plugin_of
from anokit.version import __version__


@dataclass(frozen=True)
class Checked:
    """A plugin and what its checks found."""

    plugin: FoundPlugin
    results: tuple[Outcome, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Return how many checks passed, failed and were skipped, and the number of warnings."""
        counts = {
            outcome: sum(result.outcome == outcome for result in self.results)
            for outcome in ("passed", "failed", "skipped")
        }
        return counts | {"warnings": sum(len(result.warnings) for result in self.results)}

    @property
    def certificate(self) -> Certificate:
        """Return what was found as it is printed for programs and shipped in a package."""
        return Certificate(
            plugin=self.plugin.name,
            version=self.plugin.version,
            code=code_of(self.plugin.modules),
            anokit=__version__,
            python=platform.python_version(),
            date=datetime.now(UTC).date().isoformat(),
            counts=self.counts,
            checks=self.results,
        )


def check_plugin(name: str) -> Checked:
    """Run every check of a plugin: the module that its entry point names, or a distribution.

    Raises
    ------
    UsageError
        Where there is no such module or distribution.
    """
    found, _ = discovery.find()
    named = next((p for p in found if p.name == discovery.normalise(name)), None)
    results: list[Outcome] = []
    for module in named.modules if named else (name,):
        try:
            checks = collect_checks(module)
        except ImportError as error:
            if Path(name).suffix == ".py":
                raise UsageError(
                    f"{name}: a file is no plugin that can be checked, which is a package; anokit "
                    f"try {name} RUN runs its scores over a finished run, anokit new-plugin makes "
                    "a package"
                ) from None
            installed = ", ".join(p.name for p in found) or "none"
            raise UsageError(
                f"{name}: is neither an installed plugin nor a module that can be imported "
                f"({error}); installed plugins: {installed}"
            ) from None
        results += run_checks(checks)
    return Checked(named or plugin_of(name), tuple(results))


def run_checks(checks: Iterable[Check]) -> list[Outcome]:
    """Run checks one by one; whatever one raises is its failure."""
    return [_run(check) for check in checks]


def _run(check: Check) -> Outcome:
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    message = where = ""
    # What a plugin prints or warns of while it is tested is not part of the table.
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", CheckWarning)
        try:
            check()
        except SkipTest as reason:
            outcome, message = "skipped", str(reason)
        except BaseException as error:
            if asked_for(error):
                raise
            outcome, message = "failed", words_of(error)
            where = place_of_failure(error, check.entry)
    return Outcome(
        check=check.name,
        subject=check.subject,
        since=check.since,
        promise=check.promise,
        outcome=outcome,
        message=message,
        where=where,
        warnings=tuple(str(w.message) for w in caught if issubclass(w.category, CheckWarning)),
    )


def as_json(checked: Checked) -> str:
    """Return what was found as JSON, the stable form."""
    return json.dumps(checked.certificate.model_dump(), indent=2, ensure_ascii=False)


def print_results(checked: Checked) -> None:
    """Print one line per check, why some were skipped, warnings, and what failed, by its cause."""
    results = checked.results
    names = list(dict.fromkeys(result.check for result in results))
    width = max((len(name) for name in names), default=0)
    for name in names:
        mine = [result for result in results if result.check == name]
        print(f"{name:<{width}}  {_summary(mine)}")
    _print_reasons("skipped", [(r, r.message) for r in results if r.outcome == "skipped"])
    _print_reasons("warnings", [(r, text) for r in results for text in r.warnings])
    counts = ", ".join(f"{count} {what}" for what, count in checked.counts.items() if count)
    print(f"\n{checked.plugin.name} {checked.plugin.version}: {counts or 'no checks'}")
    promises = {result.check: result.promise for result in results}
    for cause in grouped(results):
        print(f"\n{cause.subject}{f'  {cause.where}' if cause.where else ''}", file=sys.stderr)
        print(_indented(cause.message), file=sys.stderr)
        print(f"  fails {len(cause.checks)}:", file=sys.stderr)
        for check in cause.checks:
            print(f"    {check}: {promises[check.partition('[')[0]]}", file=sys.stderr)


def keep(checked: Checked) -> Path:
    """Write the certificate into the plugin's package; raises what `write_certificate` does."""
    return write_certificate(checked.certificate, checked.plugin.modules)


def _print_reasons(title: str, reasons: Sequence[tuple[Outcome, str]]) -> None:
    """Print each reason once, under the checks that it is of."""
    if reasons:
        print(f"\n{title}")
    for reason in dict.fromkeys(text for _, text in reasons):
        same = [f"{r.check}[{r.subject}]" for r, text in reasons if text == reason]
        shown = ", ".join(same[:3]) + (f" and {len(same) - 3} more" if same[3:] else "")
        print(f"  {shown}\n{_indented(reason, 4)}")


def _indented(text: str, by: int = 2) -> str:
    return "\n".join(f"{' ' * by}{line}" for line in text.splitlines())


def _summary(results: Sequence[Outcome]) -> str:
    parts = []
    for outcome, word in (("passed", "ok"), ("failed", "FAILED"), ("skipped", "skipped")):
        subjects = [result.subject for result in results if result.outcome == outcome]
        if subjects:
            listed = "" if outcome == "passed" and len(subjects) == len(results) else subjects
            parts.append(f"{word}: {', '.join(subjects)}" if listed else word)
    return "; ".join(parts)
