"""``anokit check-plugin``: run the checks without pytest and print what they found."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal
from unittest import SkipTest

from anokit.errors import UsageError
from anokit.registry import discovery
from anokit.testing.check import Check
from anokit.testing.collect import collect_checks


@dataclass(frozen=True)
class Result:
    """What one check found."""

    check: str
    subject: str
    since: str
    promise: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""


def check_plugin(name: str) -> list[Result]:
    """Run every check of a plugin: the module that its entry point names, or a distribution.

    Raises
    ------
    UsageError
        Where there is no such module or distribution.
    """
    found, _ = discovery.find()
    named = next((p for p in found if p.name == discovery.normalise(name)), None)
    results = []
    for module in named.modules if named else (name,):
        try:
            checks = collect_checks(module)
        except ImportError as error:
            installed = ", ".join(p.name for p in found) or "none"
            raise UsageError(
                f"{name}: is neither an installed plugin nor a module that can be imported "
                f"({error}); installed plugins: {installed}"
            ) from None
        results += run_checks(checks)
    return results


def run_checks(checks: Iterable[Check]) -> list[Result]:
    """Run checks one by one; whatever one raises is its failure."""
    return [_run(check) for check in checks]


def _run(check: Check) -> Result:
    facts = (check.name, check.subject, check.since, check.promise)
    # What a plugin prints or warns of while it is tested is not part of the table.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            check()
        except SkipTest as reason:
            return Result(*facts, "skipped", str(reason))
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            return Result(*facts, "failed", f"{kind}{error}")
    return Result(*facts, "passed")


def as_json(results: Sequence[Result]) -> str:
    """Return results as JSON, the stable form."""
    return json.dumps([asdict(result) for result in results], indent=2, ensure_ascii=False)


def print_results(results: Sequence[Result]) -> None:
    """Print one line per check, then what failed and why."""
    names = list(dict.fromkeys(result.check for result in results))
    width = max((len(name) for name in names), default=0)
    for name in names:
        mine = [result for result in results if result.check == name]
        print(f"{name:<{width}}  {_summary(mine)}")
    counts = {o: sum(r.outcome == o for r in results) for o in ("passed", "failed", "skipped")}
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    for result in results:
        if result.outcome == "failed":
            print(f"\n{result.check}[{result.subject}]: {result.promise}", file=sys.stderr)
            print("".join(f"  {line}\n" for line in result.message.splitlines()), file=sys.stderr)


def _summary(results: Sequence[Result]) -> str:
    parts = []
    for outcome, word in (("passed", "ok"), ("failed", "FAILED"), ("skipped", "skipped")):
        subjects = [result.subject for result in results if result.outcome == outcome]
        if subjects:
            listed = "" if outcome == "passed" and len(subjects) == len(results) else subjects
            parts.append(f"{word}: {', '.join(subjects)}" if listed else word)
    return "; ".join(parts)
