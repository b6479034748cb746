"""What holds for every score of the package, in every mode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anokit.errors import DataError, PluginError
from anokit.plugin import resolve_fields
from anokit.types import RoundTrip


def fields_of(components, name, options, what="needs"):
    component = components[name]
    return resolve_fields(getattr(component, what), component.options(**options))


def with_fields(trip, changes):
    """Return the trip with other fields; the scales of patches are entries of ``extra``."""
    own = {name: value for name, value in changes.items() if "." not in name}
    scales = {name: value for name, value in changes.items() if "." in name}
    extra = {k: v for k, v in {**trip.extra, **scales}.items() if v is not None}
    return replace(trip, **own, extra=extra)


@pytest.fixture(scope="module")
def components():
    from anokit_scores.plugin import anokit_scores

    return {component.name: component for component in anokit_scores()}


@pytest.fixture
def score(variant, build, fit):
    name, options = variant
    return fit(build(name, **options))


def test_scores_are_float32_finite_and_one_per_image(score, make_trip):
    values = score(make_trip(9))
    assert values.shape == (9,)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert len(values.unique()) == 9


@pytest.mark.parametrize("size", [1, 3, 8])
def test_score_does_not_depend_on_the_batch(score, make_trip, size):
    trip = make_trip(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    parts = [score(trip.map(lambda t, i=i: t[i])) for i in order.split(size)]
    torch.testing.assert_close(torch.cat(parts), score(trip)[order], rtol=1e-4, atol=1e-6)


def test_map_has_one_value_per_pixel_and_does_not_depend_on_the_batch(
    map_variant, build, fit, make_trip
):
    name, options = map_variant
    score, trip = fit(build(name, **options)), make_trip(4)
    heat = score.map(trip)
    assert heat.shape == (4, 6, 6)
    assert heat.dtype == torch.float32
    assert (heat >= 0).all()
    alone = score.map(trip.map(lambda t: t[1:2]))
    torch.testing.assert_close(alone[0], heat[1], rtol=1e-4, atol=1e-6)


def test_map_and_fit_exist_exactly_where_they_should(components, variant, score):
    assert hasattr(score, "map") == bool(components[variant[0]].map_needs)
    assert hasattr(score, "fit") == isinstance(score, torch.nn.Module)


def test_only_the_declared_fields_are_read(components, variant, build, make_trip):
    name, options = variant
    needs = fields_of(components, name, options)
    whole = make_trip(12)
    bare = with_fields(RoundTrip(), {field: whole.get(field) for field in needs})
    score = build(name, **options)
    if hasattr(score, "fit"):
        score.fit([bare])
    assert score(bare).shape == (12,)
    if hasattr(score, "map"):
        fields = fields_of(components, name, options, "map_needs")
        bare = with_fields(RoundTrip(), {field: whole.get(field) for field in fields})
        assert score.map(bare).ndim == 3


def test_every_declared_field_is_needed(components, variant, score, make_trip):
    for field in fields_of(components, *variant):
        with pytest.raises(PluginError, match=rf"score '{variant[0]}' reads {field} \[B"):
            score(with_fields(make_trip(2), {field: None}))


def test_inputs_stay_as_they_are(variant, build, make_trip):
    name, options = variant
    score = build(name, **options)
    trip, before = make_trip(8), make_trip(8)
    if hasattr(score, "fit"):
        score.fit([trip])
    score(trip)
    if hasattr(score, "map"):
        score.map(trip)
    for field in trip.filled():
        assert torch.equal(trip.get(field), before.get(field))


def test_half_precision_fields_are_scored_in_float32(score, make_trip):
    trip = make_trip(4)
    values = score(trip.map(lambda t: t.bfloat16()))
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, score(trip.map(lambda t: t.bfloat16().float())))


def test_constant_images_and_equal_latents_give_finite_scores(variant, build, make_trip):
    name, options = variant
    score = build(name, **options)
    flat = make_trip(8).map(torch.zeros_like)
    if hasattr(score, "fit"):
        score.fit([flat])
    assert (score(flat) == 0).all()
    assert score(make_trip(8)).isfinite().all()


def test_wrong_rank_is_refused(components, variant, score, make_trip):
    for field in fields_of(components, *variant):
        trip = make_trip(2)
        with pytest.raises(PluginError, match=rf"{field} expected \[.*\], got \["):
            score(with_fields(trip, {field: trip.get(field)[None]}))


def test_unequal_batches_are_refused(build, make_trip):
    trip = make_trip(3)
    with pytest.raises(PluginError, match=r"same B, got image \[3.*features \[1"):
        build("a")(replace(trip, features=trip.features[:1], features_hat=trip.features_hat[:1]))


def test_a_reconstruction_of_another_shape_is_refused(build, make_trip):
    trip = make_trip(2)
    with pytest.raises(PluginError, match=r"expected \[2, 3, 6, 6\], got \[2, 1, 6, 6\]"):
        build("ln")(replace(trip, image_hat=trip.image_hat[:, :1]))


def test_fitting_does_not_depend_on_how_training_images_are_batched(
    fitted_variant, build, make_trip
):
    name, options = fitted_variant
    one, other = build(name, **options), build(name, **options)
    trip = make_trip(12)
    one.fit([trip])
    other.fit([trip.map(lambda t, i=i: t[i : i + 5]) for i in (0, 5, 10)])
    torch.testing.assert_close(one(make_trip(3, 1)), other(make_trip(3, 1)), rtol=1e-4, atol=1e-6)


def test_state_survives_a_file_whose_shapes_win(
    fitted_variant, fit, build, make_trip, tmp_path: Path
):
    score = fit(build(fitted_variant[0], **fitted_variant[1]))
    state = score.state_dict()
    save_file(state, tmp_path / "score.safetensors")
    fresh = build(fitted_variant[0], **fitted_variant[1])
    assert fresh.state_dict().keys() == state.keys()
    assert not any(buffer.numel() for buffer in fresh.buffers())
    for name, tensor in load_file(tmp_path / "score.safetensors").items():
        fresh.register_buffer(name, torch.empty_like(tensor))
    fresh.load_state_dict(load_file(tmp_path / "score.safetensors"), strict=True)
    assert torch.equal(fresh(make_trip(5)), score(make_trip(5)))


def test_unfitted_score_says_so(fitted_variant, build, make_trip):
    score = build(fitted_variant[0], **fitted_variant[1])
    with pytest.raises(PluginError, match=f"'{fitted_variant[0]}' is not fitted: call fit"):
        score(make_trip(2))


def test_no_training_images_is_an_error(fitted_variant, build):
    score = build(fitted_variant[0], **fitted_variant[1])
    with pytest.raises(DataError, match="expected some, got none"):
        score.fit([])
