"""What a score follows besides anomaly: figures beside what they mean, in one sentence."""

from __future__ import annotations

from pydantic import BaseModel, computed_field

from anokit.results.metrics import Estimate

CHANCE = 0.5
"""AUROC of a score that tells nothing."""

WEAK = 0.2
"""A rank correlation that is surely smaller, whichever way, is hardly one."""

MOST = 0.5
"""Share of a cue, AUROC less 0.5, that has to go for most of it to be gone."""

WORDS = {"contrast": "standard deviation", "gradient": "RMS gradient"}
"""What is made equal in copies."""

OF_IMAGES = ("contrast", "gradient", "brightness")
"""Names of the statistics of images; others are scores that were given as covariates."""


class Followed(BaseModel):
    """One statistic, and how far the score goes with it."""

    statistic: str
    """contrast, gradient or brightness of the image, or a score that was given as a covariate"""
    correlation: Estimate | None
    """Spearman's, of the score with the statistic on training images; None where either is the same
    for all, or there are hardly any images"""
    auroc: Estimate | None = None
    """of the statistic itself on test images, below 0.5 where anomalous ones have less of it; None
    without labels"""

    @property
    def strength(self) -> float:
        """Return how strongly the score follows it, whichever way: in [0, 1]."""
        return 0.0 if self.correlation is None else abs(self.correlation.value)


class Without(BaseModel):
    """The score on the test images without what the statistics tell."""

    auroc: Estimate
    change: Estimate
    """of the AUROC, paired: on the same images"""


class EqualCopies(BaseModel):
    """The score on copies of the test images of which one statistic is equal."""

    statistic: str
    auroc: Estimate
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
    train_images_of: int
    """from which the seed drew these"""
    statistics: list[Followed]
    explained: float | None = None
    """R² of the regression of the score on the statistics, on the same training images"""
    auroc: Estimate | None = None
    """of the score; None without labels of both classes"""
    regressed: Without | None = None
    """with the statistics regressed out; None without labels, or with too few training images"""
    copies: list[EqualCopies] = []
    no_copies: str = ""
    """why there are labels but no copies"""
    warnings: list[str] = []
    """what was told while it was made; goes with it"""

    def figure(self, name: str) -> Estimate | None:
        """Return a figure by name, None where there is none.

        ``regressed``, ``equal-contrast`` and ``equal-gradient`` are AUROC; the name of a statistic
        is the correlation with it.
        """
        figures = {f"equal-{one.statistic}": one.auroc for one in self.copies}
        if self.regressed:
            figures["regressed"] = self.regressed.auroc
        found: dict[str, Estimate | None] = {
            one.statistic: one.correlation for one in self.statistics
        }
        return (found | figures).get(name)

    @property
    def given(self) -> list[str]:
        """Return the scores of the run that were covariates beside the three statistics."""
        return [one.statistic for one in self.statistics if one.statistic not in OF_IMAGES]

    @property
    def leading(self) -> Followed:
        """Return the statistic that the score follows most; chosen without labels."""
        return max(self.statistics, key=lambda one: one.strength)

    @property
    def all_of_them(self) -> str:
        """Return the names of the statistics, such as ``contrast, gradient and brightness``."""
        *first, last = (one.statistic for one in self.statistics)
        return f"{', '.join(first)} and {last}" if first else last

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """Return what it means, in one sentence that claims no more than the intervals hold."""
        if self.auroc is None:
            return f"{self._follows}; what that says of anomalies only labels can tell."
        side = side_of(self.auroc)
        if side == 0:
            after = self.regressed.auroc if self.regressed else self.auroc
            end = ", so there is no cue to explain"
            if side_of(after):
                end = f", but is once {self.all_of_them} are regressed out, {after}"
            follows = self._follows[0].lower() + self._follows[1:]
            start = f"The AUROC of {self.score}, {self.auroc}, is not resolved from 0.5"
            return f"{start}{end}; {follows}."
        if self.regressed:
            words = self._verdict(self.auroc, self.regressed, side)
        else:
            words = f"{self._follows}; its AUROC is {self.auroc}"
        if self.copies:
            found = " and ".join(f"{one.auroc} at equal {one.statistic}" for one in self.copies)
            sides = [side * side_of(one.auroc) for one in self.copies]
            words += f"; its copies have {found}"
            if max(sides) < 0:
                words += ", the other way round"
            elif max(sides) == 0:
                words += ", where its cue does not remain"
            elif min(sides) < 1:
                words += f", so it remains at equal {self.copies[sides.index(1)].statistic} alone"
        return f"{words}."

    @property
    def notes(self) -> list[str]:
        """Return what must be known of the figures, a sentence each."""
        drawn = self.train_images_of > self.train_images
        of = f" of {self.train_images_of:,}, drawn by the seed" if drawn else ""
        found = [f"From {self.train_images:,} training images{of}."]
        if self.explained is None:
            found.append("No regression: the training images are too few, or score alike.")
        found += [one.note for one in self.copies]
        if self.no_copies:
            found.append(f"No copies: {self.no_copies}.")
        return found

    @property
    def _follows(self) -> str:
        """Return how far the score goes with the statistics on training images."""
        lead = self.leading
        if lead.correlation is None:
            return f"On training images {self.score} is the same for all, or they are all alike"
        ends, text = lead.correlation, f"{lead.correlation} with {lead.statistic}"
        if max(abs(ends.low), abs(ends.high)) < WEAK:
            return (
                f"On training images {self.score} hardly follows any of {self.all_of_them}: the "
                f"largest rank correlation is {text}"
            )
        if ends.low <= 0 <= ends.high:
            return (
                f"Whether {self.score} follows any of {self.all_of_them} is not resolved: the "
                f"largest rank correlation on training images is {text}"
            )
        degrees = {0.7: "strongly", 0.4: "clearly", 0.0: "weakly"}
        how = next(word for least, word in degrees.items() if lead.strength >= least)
        way = "falls" if lead.correlation.value < 0 else "rises"
        return (
            f"On training images {self.score} {how} {way} with {lead.statistic} (rank correlation "
            f"{lead.correlation})"
        )

    def _verdict(self, before: Estimate, found: Without, side: int) -> str:
        """Return what becomes of a cue that is resolved on ``side`` of 0.5."""
        after, all_of_them = found.auroc, self.all_of_them
        figures = f"(AUROC {before}, then {after})"
        change, remains = side * side_of(found.change, 0.0), side * side_of(after)
        if remains < 0:
            ways = ["right", "wrong"][::side]
            return (
                f"{self.score} points the {ways[0]} way, but the {ways[1]} way once {all_of_them} "
                f"are regressed out {figures}"
            )
        cue = f"the cue of {self.score}" + (", which points the wrong way," if side < 0 else "")
        if change < 0:
            size, rest = side * (before.value - CHANCE), side * (after.value - CHANCE)
            share = "Most" if size - rest > MOST * size else "Part"
            lead = self.leading
            above = f", above all {lead.statistic}" if lead.strength >= WEAK else ""
            end = (
                "what remains without them is"
                if remains
                else "nothing remains without them that is"
            )
            return f"{share} of {cue} is {all_of_them}{above}, and {end} resolved {figures}"
        if change > 0:
            return f"T{cue[1:]} is larger without {all_of_them} {figures}"
        if remains:
            return f"T{cue[1:]} remains without {all_of_them}, and no loss is resolved {figures}"
        return (
            f"Whether {cue} is more than {all_of_them} is not resolved: neither what remains "
            f"without them is, nor the loss {figures}"
        )


def side_of(found: Estimate, middle: float = CHANCE) -> int:
    """Return 1 where the whole interval lies above ``middle``, −1 below, 0 where it holds it."""
    return int(found.low > middle) - int(found.high < middle)
