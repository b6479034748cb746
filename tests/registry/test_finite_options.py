"""Numbers in the options of any component are finite and have at most 64 bits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from anokit.errors import shortened
from anokit.plugin import Options


class Inner(Options):
    share: float = 0.5


class Several(Options):
    plain: float = 1.0
    optional: float | None = None
    positive: float | None = Field(None, gt=0)
    several: tuple[float, ...] = ()
    three: tuple[float, float, float] | None = None
    mixed: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    named: dict[str, float] = Field(default_factory=dict)
    inner: Inner | None = None
    anything: Any = None


@pytest.mark.parametrize(
    "number",
    [float("nan"), float("inf"), float("-inf"), 1e300, -1e39, 10**400, -(10**400), 2**63, 10**5000],
    ids=shortened,
)
@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("plain", lambda x: x),
        ("optional", lambda x: x),
        ("positive", lambda x: x),
        ("several", lambda x: [0.0, x]),
        ("three", lambda x: (x, 0.0, 1.0)),
        ("mixed", lambda x: x),
        ("named", lambda x: {"a": x}),
        ("inner", lambda x: {"share": x}),
        ("anything", lambda x: {"deep": [1, [x]]}),
    ],
)
def test_numbers_out_of_range_are_refused_wherever_they_stand(name, wrap, number):
    with pytest.raises(ValidationError, match=r"finite|of float32|of at most 64 bits, got .{5,90}"):
        Several.model_validate({name: wrap(number)})


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "1" * 400])
def test_numbers_that_stand_as_text_are_refused_too(number):
    with pytest.raises(ValidationError, match=r"finite|of float32"):
        Several.model_validate({"plain": number})


def test_finite_numbers_pass():
    options = Several.model_validate({"three": [0, 1, 2.5], "mixed": 0.5, "named": {"a": 3.4e38}})
    assert options.three == (0, 1, 2.5)
    assert options.named == {"a": 3.4e38}
    assert Several.model_validate({"anything": [2**63 - 1, True]}).anything == [2**63 - 1, True]
