"""What stands beside figures for papers: which run, seed, protocol and images each panel shows."""

from collections.abc import Sequence

from pydantic import BaseModel

__all__ = ["Caption", "FigureSet", "PanelWords"]

HEAD = ("panel", "system", "γ", "run", "seed", "protocol", "images", "values", "remarks")


class PanelWords(BaseModel):
    """What one panel, row of pictures or point of a curve shows."""

    panel: str = ""
    """its letter, such as ``(a)``; empty where it has none"""
    system: str
    contamination: float
    run: str
    recipe: str
    seed: int | None
    protocol: str
    backbone: str
    encoder_losses: list[str] = []
    normal: int = 0
    """test images that are shown, by label"""
    anomalous: int = 0
    unlabelled: int = 0
    of: int = 0
    """test images of the run"""
    values: str = ""
    """where what is drawn comes from, or what it is"""
    remarks: list[str] = []

    @property
    def images(self) -> str:
        """Return in words how many test images are shown."""
        groups = ("normal", "anomalous", "unlabelled")
        shown = [f"{count:,} {name}" for name in groups if (count := getattr(self, name))]
        return f"{' + '.join(shown) or 'none'} of {self.of:,}"


class Caption(BaseModel):
    """One figure in words."""

    kind: str
    file: str
    text: str
    panels: list[PanelWords]
    queries: list[str] = []
    """ids of the test images whose pictures are shown, from left to right, set by set"""
    left_out: list[str] = []
    """which runs have no panel, and why"""

    @property
    def unit(self) -> str:
        """Return what ``panels`` are counted in."""
        return {"matches": "systems", "contamination": "runs"}.get(self.kind, "panels")


class FigureSet(BaseModel):
    """All figures that were drawn, and why others were not."""

    anokit: str
    selection: str
    """how runs and images were chosen"""
    figures: list[Caption]
    not_drawn: dict[str, str]
    """the reason by kind of figure, a sentence each"""

    def markdown(self) -> str:
        """Return the content of figures.md."""
        parts = ["# Figures", f"Drawn by anokit {self.anokit}. {self.selection}"]
        for one in self.figures:
            parts += [f"## {one.file}", one.text, _table(one.panels)]
            if one.queries:
                parts.append(f"Queries, from left to right: {', '.join(one.queries)}.")
            if one.left_out:
                parts.append("\n".join(f"- Left out: {text}" for text in one.left_out))
        if self.not_drawn:
            reasons = [f"- {kind}: {reason}." for kind, reason in self.not_drawn.items()]
            parts += ["## Not drawn", "\n".join(reasons)]
        return "\n\n".join(parts) + "\n"


def _table(panels: Sequence[PanelWords]) -> str:
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [
        (
            one.panel,
            f"{one.system} ({_parts(one)})",
            f"{100 * one.contamination:g} %",
            one.run,
            "" if one.seed is None else str(one.seed),
            one.protocol,
            one.images,
            one.values,
            "; ".join(one.remarks),
        )
        for one in panels
    ]
    return "\n".join(
        f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in rows
    )


def _parts(one: PanelWords) -> str:
    losses = (
        f", encoder trained by {' and '.join(one.encoder_losses)}" if one.encoder_losses else ""
    )
    return f"{one.backbone}{losses}"
