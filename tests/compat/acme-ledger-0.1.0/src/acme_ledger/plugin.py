"""What this package offers to anokit. It imports no torch, so that every command stays fast."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from anokit import Component, Options, hookimpl


class LedgerOptions(Options):
    """Options of ``ledger``."""

    file: str = Field(default="ledger.csv", description="File that gets a line per score.")


@hookimpl
def anokit_watchers() -> Iterable[Component]:
    """Offer the watcher."""
    yield Component(
        name="ledger",
        summary="Writes a line for every score of a finished run to one file",
        factory="acme_ledger.ledger:Ledger",
        options=LedgerOptions,
        example={"file": "ledger.csv"},
    )
