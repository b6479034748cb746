"""The tables of a recipe file, as pydantic models."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from anokit.errors import out_of_range
from anokit.plugin import Options


class Settings(Options):
    """Base of the recipe tables that belong to the core."""


class DatasetKeys(Settings):
    """Keys of ``[dataset]`` that belong to the core, whatever the dataset."""

    contamination: float = Field(
        0.0,
        ge=0,
        lt=1,
        strict=True,
        allow_inf_nan=False,
        description="share of contaminants in the training set",
    )
    contaminants_from_test: float = Field(
        0.0,
        ge=0,
        lt=1,
        strict=True,
        allow_inf_nan=False,
        description="share of the anomalous test images taken out to contaminate with",
    )
    when_missing: Literal["error", "simulate"] = Field(
        "error", description="simulate: draw a stand-in where the data are missing"
    )
    group: str | dict[Literal["manifest", "column"], str] | None = Field(
        None,
        description='which images belong together, so that no group is divided: "near-duplicates", '
        "by their content; a regular expression, by what its groups match in an image's id; "
        '{ manifest = "FILE.csv", column = "NAME" }, by a table with a column image',
    )
    duplicates: Literal["keep", "drop", "error"] | None = Field(
        None,
        description="what to do with images that are equal to the last pixel, within the training "
        "set, across training and test set, and in both classes of the test set. keep: take and "
        "tell them, as published protocols do; drop: take each once, the test set's first; error: "
        "refuse to run. Unset: keep",
    )
    exclude: str | None = Field(
        None, description="file that lists training images to leave out, one a line"
    )

    @field_validator("group")
    @classmethod
    def _manifest_has_a_column(cls, group: Any) -> Any:
        if isinstance(group, dict) and set(group) != {"manifest", "column"}:
            raise ValueError('expected { manifest = "FILE.csv", column = "NAME" }')
        return group


class WeightKey(Settings):
    """The core's key of an encoder loss and of a term of a score."""

    weight: float = Field(
        1.0, strict=True, allow_inf_nan=False, description="factor before it is added up"
    )


class TermKeys(WeightKey):
    """The core's keys of a term of a score."""

    full_weight_at: int = Field(
        1,
        strict=True,
        ge=1,
        description='with combine = "robust-z": number of training images from which the term has '
        "its full weight; of N < full_weight_at it has (N / full_weight_at)², for what learns "
        "little from few images. Of an alternative: as much counts of what its sum is above the "
        "first",
    )
    alternative: bool = Field(
        False,
        description='with combine = "robust-z": begins another sum; the score is the largest of '
        "its sums, so that an image is as anomalous as that says which finds it most so",
    )


class RefineSettings(Settings):
    """``[training] refine``: training images that look anomalous are dropped, or count less."""

    strategy: Literal["reject", "exposure-hard", "exposure-soft"] = Field(
        "reject",
        description="reject: every few epochs all training images are scored, and the most "
        "anomalous are not shown until the next time (Beggel et al. 2019); exposure-hard, "
        "exposure-soft: in every batch those that look most anomalous count as anomalies, wholly "
        "or half (latent outlier exposure, Qiu et al. 2022), for backbones with a loss per image",
    )
    share: float = Field(
        gt=0, lt=1, description="share of the training images, or of each batch, that is suspected"
    )
    after: float | None = Field(
        None,
        ge=0,
        description="epochs before the first image is suspected; unset: as many as `every`",
    )
    every: float = Field(5.0, gt=0, description="reject: epochs from one judgement to the next")
    keep_last: float | None = Field(
        None,
        ge=0,
        description="reject: epochs at the end in which no image is judged any more, and training "
        "goes on with what was kept; unset: as many as `every`",
    )
    afresh: bool = Field(
        False,
        description="reject: judge once more after the last epoch, then train new weights from the "
        "beginning on what is kept, by the whole schedule",
    )
    score: str | None = Field(
        None, description="reject: which of the [[scores]] judges; unset: the first one"
    )

    @property
    def rejects(self) -> bool:
        """Whether images are left out, rather than weighed."""
        return self.strategy == "reject"

    @property
    def pause(self) -> float:
        """Return the epochs before the first image is suspected."""
        return self.every if self.after is None else self.after

    @property
    def rest(self) -> float:
        """Return the epochs at the end in which no image is judged any more."""
        return self.every if self.keep_last is None else self.keep_last

    @model_validator(mode="after")
    def _only_keys_of_the_strategy(self) -> Self:
        for name in ("every", "keep_last", "afresh", "score"):
            given = getattr(self, name) != type(self).model_fields[name].default
            if given and not self.rejects:
                raise ValueError(f"{name} belongs to strategy = 'reject'; remove it")
        if self.afresh and self.keep_last:
            raise ValueError("afresh trains anew on what is kept; remove keep_last")
        return self


class TrainingSettings(Settings):
    """``[training]``: what the loop does beside the backbone's own schedule."""

    checkpoint_minutes: float = Field(5.0, ge=0, description="minutes between two checkpoints")
    log_every: int = Field(50, ge=1, description="steps between two lines of metrics.jsonl")
    snapshots: int = Field(
        8, ge=0, le=10_000, description="grids of sample images over the whole training"
    )
    max_steps: int | None = Field(
        None, ge=1, description="stop every phase after so many steps: to try out a recipe"
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="CPU threads while training; unset: as torch chooses. Networks of a few dozen "
        "channels train faster with 1, since sharing such small steps costs more than it saves",
    )
    selection: Literal["last", "best-on-test"] = Field(
        "last",
        description="weights that are kept: those after the last step, or, as some papers do, the "
        "ones with the best AUROC of the primary score on the test set, looked at after every "
        "epoch of the last phase; that reads test labels, and every line of the result says so",
    )
    validation: float = Field(
        0.0,
        ge=0,
        lt=1,
        strict=True,
        description="share of the training images, seeded and unlabelled, that no training step is "
        "shown: a backbone may choose its weights by them, and thresholds are taken from them "
        "alone. Scores are fitted on all training images",
    )
    refine: RefineSettings | None = Field(
        None,
        description="how training images that look anomalous to the model are kept out of its "
        "training, while it goes on; no label is read",
    )


class EvaluationSettings(Settings):
    """``[evaluation]``: how images are scored and figures are made."""

    batch_size: int = Field(
        64,
        ge=1,
        description="images scored at once; no score depends on it, unless an option asks for that",
    )
    order: Literal["stored", "by-label"] = Field(
        "stored",
        description="order in which test images are scored: as the dataset has them, or, as some "
        "papers do, normal ones first; makes a difference only where an option makes scores depend "
        "on the batch, and every line of the result then says so",
    )
    resamples: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="bootstrap resamples behind every 95 % interval",
    )
    max_train_images: int = Field(
        5000,
        ge=1,
        description="seeded subset of the training set scored for threshold and report",
    )
    folds: int = Field(
        5,
        ge=2,
        description="parts into which training images are divided where a fitted score is fitted "
        "several times, each time without one part, to judge the images in it; where images "
        "belong together, at least 10,000 / images, up to 20",
    )
    overlays: int = Field(
        0,
        ge=0,
        description="most anomalous training images that are written to overlays/, with maps "
        "painted on their files",
    )
    gallery: int = Field(8, ge=0, le=1000, description="images in each row of the report's gallery")


class ThresholdSettings(Settings):
    """``[threshold]``: where anomalous begins, chosen without a label."""

    false_alarms: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="share of normal images that may be flagged; from n training images no less "
        "than 1/(n + 1) can be promised",
    )
    method: Literal["conformal", "gpd", "quantile"] = Field(
        "conformal",
        description="how the threshold is taken from scores of training images, none by a score "
        "that was fitted on the image. conformal: the rate holds for any distribution; gpd: by a "
        "generalised Pareto distribution of the highest tenth, for rates below 1/n; quantile: the "
        "plain quantile",
    )
    trim: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="share of the highest training scores that is left out first, where as many "
        "images may be anomalous. Finds more; costs up to as many more false alarms as it leaves "
        "out normal images",
    )


class RecipeTables(BaseModel):
    """The top level of a recipe. Component tables are read by the registry's components."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    title: str = Field("", description="one line, shown in results and on top of the report")
    seed: int = Field(1000, ge=0, lt=2**63, description="source of every random draw of the run")
    requires: list[str] = Field(
        [], description='plugins that must be installed, such as "anokit-pgan>=0.1"'
    )
    baselines: list[str | dict[str, Any]] = Field(
        [], description="fitted scores of raw images, printed under the recipe's own scores"
    )
    dataset: dict[str, Any] = Field(description="the images: `use` names a dataset")
    backbone: dict[str, Any] = Field(description="the model: `use` names a backbone")
    encoder_losses: list[dict[str, Any]] = Field(
        [], alias="encoder-losses", description="terms that train the encoder, each with a `weight`"
    )
    scores: list[dict[str, Any]] = Field(
        description="what is computed for every image; the first is the primary score", min_length=1
    )
    training: TrainingSettings = TrainingSettings.model_validate({})
    evaluation: EvaluationSettings = EvaluationSettings.model_validate({})
    threshold: ThresholdSettings = ThresholdSettings.model_validate({})
    published: dict[str, str | float] = Field(
        {},
        description="figures of a paper by score name, their `source`, and what `differs` from "
        "the publication and why",
    )
    quick: dict[str, Any] = Field(
        {}, description="tables laid over the recipe by --quick; arrays replace"
    )

    @field_validator("seed", "published", mode="before")
    @classmethod
    def _in_range(cls, value: Any) -> Any:
        if problem := out_of_range(value):
            raise ValueError(problem)
        return value
