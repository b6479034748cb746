"""Fields and their layouts: what random trips hold, and scales of patches without a sample."""

import sys
from types import ModuleType

import pytest

from anokit import Component, hookimpl
from anokit.testing import CheckFailed, collect_checks, random_trip
from anokit.types import layout_of
from anokit.types.models import ROUND_TRIP_FIELDS


def test_every_field_has_a_layout_and_random_trips_keep_it():
    trip = random_trip(3, scales=("a", "b"))
    names = {f"{field}.{scale}" for field in ("patches", "patches_hat") for scale in "ab"}
    assert trip.filled() == {*ROUND_TRIP_FIELDS, *names}
    for name in trip.filled():
        shape = trip.get(name).shape
        assert shape[0] == 3
        assert len(shape) == layout_of(name).count(",") + 1, name
    assert trip.get("patches.a").shape[-1] < trip.get("patches.b").shape[-1]


def test_a_scale_is_laid_out_like_the_field_before_the_dot():
    assert layout_of("patches_hat.stage3") == layout_of("patches") == "[B, F, h, w]"
    assert layout_of("anomaly_map") == "[B, h, w]"
    assert layout_of("critic_hat") == "[B]"
    for unknown in ("logit", "logit_hat", "latent.stage1", ".stage1", "patch"):
        assert layout_of(unknown) == ""


def test_other_fields_of_a_random_trip_do_not_depend_on_its_scales():
    plain, more = random_trip(2), random_trip(2, scales=("a",))
    assert all((plain.get(name) == more.get(name)).all() for name in plain.filled())


def checks_of(factory, monkeypatch):
    """Return what the kit checks of a score that reads two scales, by name."""
    module = ModuleType("scales_of_a_stranger")
    described = Component(
        name="apart",
        summary="Largest difference of two scales",
        factory=factory,
        needs=frozenset({"patches.a", "patches_hat.a", "patches.b"}),
    )
    module.anokit_scores = hookimpl(lambda: [described])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {check.name: check for check in collect_checks(module) if check.subject == "apart"}


class Apart:
    """Sound: the largest difference at one scale, and the spread of another."""

    def __init__(self, options):
        pass

    def __call__(self, trip):
        difference = trip.extra["patches.a"] - trip.extra["patches_hat.a"]
        return difference.abs().amax(dim=(1, 2, 3)) + trip.extra["patches.b"].std(dim=(1, 2, 3))


class Crowded(Apart):
    """Not sound: centred on its batch."""

    def __call__(self, trip):
        values = super().__call__(trip)
        return values - values.mean()


def test_a_score_of_scales_is_checked_on_random_trips(monkeypatch):
    for name, check in checks_of(Apart, monkeypatch).items():
        if name.startswith("check_score_") and not name.endswith(("planted", "map")):
            if "fit" in name or "state" in name:
                continue  # of scores that learn
            check()
    with pytest.raises(CheckFailed, match=r"depends|batch"):
        checks_of(Crowded, monkeypatch)["check_score_independent_of_batch"]()
