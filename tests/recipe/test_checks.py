from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from anokit.recipe.checks import Faults


class Cut(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
    always: Cut = Cut()
    perhaps: Cut | None = None
    many: list[Cut] = []


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"szie": 1}, "top.szie", "unknown option; 'table' takes: always, many, perhaps"),
        ({"always": {"szie": 1}}, "top.always.szie", "unknown option; 'always' takes: size; did"),
        ({"perhaps": {"szie": 1}}, "top.perhaps.szie", "unknown option; 'perhaps' takes: size; d"),
    ],
)
def test_an_unknown_key_is_told_by_the_table_it_stands_in(
    given: dict[str, object], place: str, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Table.model_validate(given)
    faults = Faults()
    faults.add_validation("top", caught.value, Table, "'table'")
    ((where, what),) = faults.found
    assert where == place
    assert what.startswith(message)


@pytest.mark.parametrize(
    ("given", "place", "what"),
    [
        ({"always": 16}, "top.always", "a table that takes size, got 16"),
        ({"perhaps": 16}, "top.perhaps", "a table that takes size, got 16"),
        ({"many": [16]}, "top.many.0", "a table, got 16"),
    ],
)
def test_what_should_be_a_table_is_told_so_with_what_it_takes(
    given: dict[str, object], place: str, what: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Table.model_validate(given)
    faults = Faults()
    faults.add_validation("top", caught.value, Table, "'table'")
    assert faults.found == [(place, f"input should be {what}")]
