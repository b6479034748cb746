"""What a score follows besides anomaly: figures beside what they mean, in one sentence."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, computed_field

from anokit.results.metrics import Estimate

Statistic = Literal["contrast", "gradient", "brightness"]

CHANCE = 0.5
"""AUROC of a score that tells nothing."""

WEAK = 0.2
"""A rank correlation that is surely smaller, whichever way, is hardly one."""

MOST = 0.5
"""Share of a cue, AUROC less 0.5, that has to go for most of it to be gone."""

THREE = "contrast, gradient and brightness"

WORDS = {"contrast": "standard deviation", "gradient": "RMS gradient", "brightness": "mean"}
"""What each statistic is of an image's values."""


class Followed(BaseModel):
    """One statistic of an image, and how far the score goes with it."""

    statistic: Statistic
    correlation: Estimate | None
    """Spearman's, of the score with the statistic on training images; None where either is the same
    for all"""
    auroc: Estimate | None = None
    """of the statistic alone on test images, turned as the correlation is; None without labels"""

    @property
    def strength(self) -> float:
        """Return how strongly the score follows it, whichever way: in [0, 1]."""
        return 0.0 if self.correlation is None else abs(self.correlation.value)

    @property
    def falling(self) -> bool:
        """Return whether the score falls where the statistic rises."""
        return self.correlation is not None and self.correlation.value < 0


class Without(BaseModel):
    """The score on the test images without what statistics tell."""

    auroc: Estimate
    change: Estimate
    """of the AUROC, paired: on the same images"""


class EqualCopies(Without):
    """The score of copies of the test images of which one statistic is equal."""

    statistic: Statistic
    target: float
    """median of the training images, in grey levels of 0 to 255"""
    clipped: float
    """share of the copies in which a value had to be clipped to the range"""
    missed: float
    """share of the copies whose statistic is more than 1 % off the target"""

    @property
    def note(self) -> str:
        """Return how well the statistic was made equal."""
        return (
            f"Copies of equal {self.statistic}: {WORDS[self.statistic]} {self.target:.3g} of 255 "
            f"grey levels, the training images' median; in {100 * self.clipped:.3g} % of the "
            f"copies values were clipped to the range, and {100 * self.missed:.3g} % miss it by "
            "over 1 %."
        )


class Explanation(BaseModel):
    """What a score follows."""

    score: str
    train_images: int
    """that correlations and the regression are from"""
    statistics: list[Followed]
    explained: float | None = None
    """R² of the regression of the score on the three statistics, on the same training images"""
    auroc: Estimate | None = None
    """of the score; None without labels of both classes"""
    regressed: Without | None = None
    """with the statistics regressed out; None without labels, or with too few training images"""
    copies: list[EqualCopies] = []
    no_copies: str = ""
    """why there are labels but no copies"""

    @property
    def leading(self) -> Followed:
        """Return the statistic that the score follows most; chosen without labels."""
        return max(self.statistics, key=lambda one: one.strength)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """Return what it means, in one sentence that claims no more than the intervals hold."""
        if self.auroc is None:
            return f"{self._follows}; what that says of anomalies only labels can tell."
        side = side_of(self.auroc)
        if side == 0:
            return (
                f"The AUROC of {self.score}, {self.auroc}, is not resolved from 0.5, so there is "
                f"no cue to explain; {lowered(self._follows)}."
            )
        turned = "" if side > 0 else ", which points the wrong way here"
        parts = [f"{self._verdict(side)}{turned}"] if self.regressed else [self._follows + turned]
        if self.copies:
            found = [f"{one.auroc} at equal {one.statistic}" for one in self.copies]
            left = [one for one in self.copies if side_of(one.auroc) == side]
            remains = {0: ", where nothing resolved remains", len(self.copies): ""}
            end = remains.get(len(left), f", resolved at equal {left[0].statistic}" if left else "")
            parts.append(f"its copies have {' and '.join(found)}{end}")
        return f"{'; '.join(parts)}."

    @property
    def notes(self) -> list[str]:
        """Return what must be known of the figures, a sentence each."""
        found = [f"From {self.train_images:,} training images."]
        if self.auroc is not None and self.regressed is None:
            found.append("So few training images allow no regression.")
        found += [one.note for one in self.copies]
        if self.no_copies:
            found.append(f"No copies: {self.no_copies}.")
        return found

    @property
    def _follows(self) -> str:
        """Return how far the score goes with the three statistics on training images."""
        lead = self.leading
        if lead.correlation is None:
            return f"On training images {self.score} is the same for all, or they are all alike"
        ends, text = lead.correlation, f"{lead.correlation} with {lead.statistic}"
        if max(abs(ends.low), abs(ends.high)) < WEAK:
            return (
                f"On training images {self.score} hardly follows any of {THREE}: the largest rank "
                f"correlation is {text}"
            )
        if ends.low <= 0 <= ends.high:
            return (
                f"Whether {self.score} follows any of {THREE} is not resolved: the largest rank "
                f"correlation on training images is {text}"
            )
        how = (
            "strongly" if lead.strength >= 0.7 else "clearly" if lead.strength >= 0.4 else "weakly"
        )
        way = "falls" if lead.falling else "rises"
        return (
            f"On training images {self.score} {how} {way} with {lead.statistic} (rank correlation "
            f"{lead.correlation})"
        )

    def _verdict(self, side: int) -> str:
        """Return what becomes of a cue that is resolved on ``side`` of 0.5."""
        assert self.auroc is not None
        assert self.regressed is not None
        after, change = self.regressed.auroc, self.regressed.change
        figures = f"(AUROC {self.auroc}, then {after})"
        cue, rest = side * (self.auroc.value - CHANCE), side * (after.value - CHANCE)
        lost = side_of(change, 0.0) == -side
        gained = side_of(change, 0.0) == side
        remains = side_of(after) == side
        share = "Most" if cue - rest > MOST * cue else "Part"
        lead = self.leading
        above = f", above all {lead.statistic}" if lead.strength >= WEAK else ""
        if side_of(after) == -side:
            return (
                f"{self.score} points the other way once {THREE} are regressed out {figures}: all "
                f"of its cue is theirs{above}"
            )
        if lost and not remains:
            return (
                f"{share} of the cue of {self.score} is {THREE}{above}: without them nothing "
                f"resolved remains {figures}"
            )
        if lost:
            return (
                f"{share} of the cue of {self.score} is {THREE}{above}, and what remains without "
                f"them is resolved {figures}"
            )
        if gained:
            return f"The cue of {self.score} is larger without {THREE} {figures}"
        if remains:
            return (
                f"The cue of {self.score} remains without {THREE}, and no loss is resolved "
                f"{figures}"
            )
        return (
            f"Whether the cue of {self.score} is more than {THREE} is not resolved: neither what "
            f"remains without them is, nor the loss {figures}"
        )


def side_of(found: Estimate, middle: float = CHANCE) -> int:
    """Return 1 where the whole interval lies above ``middle``, −1 below, 0 where it holds it."""
    return int(found.low > middle) - int(found.high < middle)


def lowered(text: str) -> str:
    """Return a sentence as it continues another one; a score's name at its head stays."""
    return text[0].lower() + text[1:] if text.startswith(("On ", "Whether ")) else text
