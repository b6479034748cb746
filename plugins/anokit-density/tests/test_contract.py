"""What holds for every score of the package, on every field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anokit.errors import DataError, PluginError
from anokit.plugin import resolve_fields
from anokit.types import RoundTrip
from anokit_density.plugin import anokit_scores

COMPONENTS = {component.name: component for component in anokit_scores()}


def fields_of(what, name, options):
    component = COMPONENTS[name]
    return resolve_fields(getattr(component, what), component.options(**options))


@pytest.fixture
def score(variant, build, fit):
    name, options = variant
    return fit(build(name, **options))


def test_scores_are_float32_finite_and_one_per_image(score, make_trip):
    values = score(make_trip(9))
    assert values.shape == (9,)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert len(values.unique()) > 5


@pytest.mark.parametrize("size", [1, 3, 8])
def test_score_does_not_depend_on_the_batch(score, make_trip, size):
    trip = make_trip(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    parts = [score(trip.map(lambda t, i=i: t[i])) for i in order.split(size)]
    torch.testing.assert_close(torch.cat(parts), score(trip)[order], rtol=1e-5, atol=1e-6)


def test_map_has_one_value_per_pixel_and_does_not_depend_on_the_batch(
    map_variant, build, fit, make_trip
):
    name, options = map_variant
    score, trip = fit(build(name, **options)), make_trip(4)
    heat = score.map(trip)
    assert heat.shape == (4, 6, 6)
    assert heat.dtype == torch.float32
    alone = score.map(trip.map(lambda t: t[1:2]))
    torch.testing.assert_close(alone[0], heat[1], rtol=1e-5, atol=1e-6)


def test_map_exists_exactly_where_it_is_said_to(variant, score):
    assert hasattr(score, "map") == bool(fields_of("map_needs", *variant))


def test_only_the_declared_fields_are_read(variant, build, make_trip):
    name, options = variant
    whole = make_trip(40)
    bare = RoundTrip(**{field: whole.get(field) for field in fields_of("needs", *variant)})
    score = build(name, **options)
    score.fit([bare])
    assert score(bare).shape == (40,)
    if fields := fields_of("map_needs", *variant):
        assert score.map(RoundTrip(**{field: whole.get(field) for field in fields})).ndim == 3


def test_an_unfilled_or_misshapen_field_is_refused(variant, score, make_trip):
    (field,) = fields_of("needs", *variant)
    trip = make_trip(2)
    with pytest.raises(PluginError, match=rf"score '{variant[0]}' reads {field} \[B"):
        score(replace(trip, **{field: None}))
    with pytest.raises(PluginError, match=rf"{field} expected \[.*\], got \["):
        score(replace(trip, **{field: trip.get(field)[None]}))


def test_inputs_stay_as_they_are(score, make_trip):
    trip, before = make_trip(40), make_trip(40)
    score.fit([trip])
    score(trip)
    for field in trip.filled():
        assert torch.equal(trip.get(field), before.get(field))


def test_half_precision_fields_are_scored_in_float32(score, make_trip):
    trip = make_trip(4)
    values = score(trip.map(lambda t: t.bfloat16()))
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, score(trip.map(lambda t: t.bfloat16().float())))


def test_training_images_that_are_all_alike_give_finite_scores(variant, build, make_trip):
    name, options = variant
    score = build(name, **options)
    flat = make_trip(8).map(torch.zeros_like)
    score.fit([flat])
    assert len(score(flat).unique()) == 1
    assert score(flat).isfinite().all()
    assert score(make_trip(8)).isfinite().all()


def test_fitting_does_not_depend_on_how_training_images_are_batched(variant, build, make_trip):
    name, options = variant
    one, other = build(name, **options), build(name, **options)
    trip = make_trip(40)
    one.fit([trip])
    other.fit([trip.map(lambda t, i=i: t[i : i + 9]) for i in range(0, 40, 9)])
    torch.testing.assert_close(one(make_trip(3, 1)), other(make_trip(3, 1)), rtol=1e-5, atol=1e-6)


def test_state_survives_a_file_whose_shapes_win(variant, score, build, make_trip, tmp_path: Path):
    state = score.state_dict()
    save_file(state, tmp_path / "score.safetensors")
    fresh = build(variant[0], **variant[1])
    assert fresh.state_dict().keys() == state.keys()
    assert not any(buffer.numel() for buffer in fresh.buffers())
    for name, tensor in load_file(tmp_path / "score.safetensors").items():
        owner, _, leaf = name.rpartition(".")
        setattr(fresh.get_submodule(owner), leaf, torch.empty_like(tensor))
    fresh.load_state_dict(load_file(tmp_path / "score.safetensors"), strict=True)
    assert torch.equal(fresh(make_trip(5)), score(make_trip(5)))


def test_unfitted_score_says_so(variant, build, make_trip):
    with pytest.raises(PluginError, match=f"'{variant[0]}' is not fitted: call fit"):
        build(variant[0], **variant[1])(make_trip(2))


def test_no_training_images_is_an_error(variant, build):
    with pytest.raises(DataError, match="expected some, got none"):
        build(variant[0], **variant[1]).fit([])


def test_max_fit_images_is_what_the_option_says(build):
    assert build("kde", max_fit_images=7).max_fit_images == 7
    assert build("pixel-pca").max_fit_images == 5_000


def test_images_of_another_size_are_refused(build, fit, make_trip):
    with pytest.raises(PluginError, match=r"fitted to images of 108 values, got 48"):
        fit(build("pixel-pca"))(make_trip(2, size=4))
