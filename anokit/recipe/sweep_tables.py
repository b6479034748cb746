"""The tables of a sweep file, as they stand in it. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from anokit.recipe.changes import change_tables, read_toml
from anokit.recipe.checks import Faults
from anokit.recipe.tables import Settings

SWEEP_FILE = "sweep.toml"
"""What a sweep's file is called in the sweep's folder."""


class Selector(Settings):
    """Which runs and scores a row or a column of the sweep's table is of."""

    name: str = Field(description="what stands at its head")
    recipe: str | list[str] | None = Field(None, description="recipes, by name; all by default")
    score: str | None = Field(None, description="the score, by name")
    contamination: float | None = Field(None, ge=0, lt=1, description="γ of the training set")
    variant: str | None = Field(None, description="the variant, by name")

    @property
    def recipes(self) -> list[str] | None:
        """Return the names of the recipes; None for all."""
        return [self.recipe] if isinstance(self.recipe, str) else self.recipe


class Layout(Settings):
    """How ``anokit table`` lays out the sweep's figures."""

    rows: list[Selector] = Field(min_length=1)
    columns: list[Selector] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_score_in_each_place(self) -> Self:
        rows, columns = ([one for one in side if one.score] for side in (self.rows, self.columns))
        if rows and columns:
            raise ValueError(
                f"row {rows[0].name!r} and column {columns[0].name!r} both name a score, so that "
                "nothing fits both; name scores in rows or in columns"
            )
        return self


class SweepTables(Settings):
    """The tables of a sweep file."""

    title: str = Field("", description="what the sweep shows")
    threads: int | None = Field(
        None, ge=1, description="threads of each cell; by default the cores are shared out"
    )
    matrix: dict[str, Any] = Field(
        description="recipe = [files or names], and values of keys of recipes, all crossed"
    )
    set: dict[str, Any] = Field({}, description="keys of recipes with their value in every cell")
    recipes: dict[str, dict[str, Any]] = Field(
        {}, description="by name of a recipe: keys with their value in the cells of that recipe"
    )
    variants: dict[str, dict[str, Any]] = Field(
        {}, description="by a name that the axis ``variant`` lists: keys with their values"
    )
    skip: list[dict[str, Any]] = Field(
        [], description="cells to leave out: those with all of these values of axes"
    )
    layout: Layout | None = Field(None, description="rows and columns of the sweep's table")
    quick: dict[str, Any] = Field(
        {}, description="tables laid over the sweep by --quick, beside each recipe's own [quick]"
    )


def read_sweep_tables(path: Path, *, quick: bool = False) -> tuple[str, SweepTables]:
    """Return text and tables of a sweep file, whatever its recipes are.

    ``quick`` lays its ``[quick]`` table over it.

    Raises
    ------
    RecipeError, UsageError
        Where it cannot be read, with all that is wrong.
    """
    text, data = read_toml(path)
    faults = Faults()
    try:
        return text, SweepTables.model_validate(change_tables(data, quick=quick, settings=()))
    except ValidationError as error:
        faults.add_validation("", error, SweepTables, "a sweep")
        faults.raise_if_any(path)
        raise
