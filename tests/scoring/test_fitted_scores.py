"""What holds for every fitted score of the memory and density packages, on every field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import anokit_density.plugin
import anokit_memory.plugin
from anokit.errors import DataError, PluginError
from anokit.plugin import resolve_fields
from anokit.store.tensors import empty_buffers, load_module, save_tensors
from anokit.types import RoundTrip

COMPONENTS = {
    component.name: component
    for plugin in (anokit_density.plugin, anokit_memory.plugin)
    for component in plugin.anokit_scores()
}

Variant = tuple[str, dict[str, Any]]

VARIANTS: list[Variant] = [
    ("knn", {"k": 3}),
    ("knn", {"on": "latent", "metric": "euclidean"}),
    ("knn", {"on": "image", "k": 1}),
    ("knn", {"on": "patches", "k": 2}),
    ("knn", {"on": "patches", "metric": "euclidean", "patch_score": "mean", "max_patches": 100}),
    ("mahalanobis", {}),
    ("mahalanobis", {"on": "image", "shrinkage": 0.1}),
    ("mahalanobis", {"on": "patches", "shrinkage": 0.0}),
    ("mahalanobis", {"trim": 0.8}),
    ("padim", {}),
    ("padim", {"channels": 2, "seed": 1}),
    ("pixel-knn", {"k": 3}),
    ("kde", {"components": 4, "bandwidth": 0.5}),
    ("kde", {}),
    ("kde", {"on": "features", "components": 0.9}),
    ("kde", {"on": "patches", "bandwidth": 0.3}),
    ("kde", {"contrast": True, "whiten": False}),
    ("rx", {}),
    ("rx", {"on": "latent", "ridge": 0.0}),
    ("rx", {"local": True}),
    ("rx", {"local": True, "window": 1, "patch_score": "mean"}),
    ("rx", {"on": "patches"}),
    ("pca", {"components": 4}),
    ("pca", {"on": "features", "components": 2}),
    ("pca", {"on": "patches", "components": 1}),
    ("isolation-forest", {"trees": 20}),
    ("isolation-forest", {"on": "patches", "trees": 9, "samples": 64, "patch_score": "mean"}),
    ("ocsvm", {}),
    ("ocsvm", {"on": "features", "nu": 0.5, "gamma": 0.7}),
    ("ocsvm", {"on": "patches"}),
    ("pixel-pca", {}),
]


DISTANCES = {"knn", "pixel-knn"}

SPREADS = {"mahalanobis", "padim"}
"""Scores in units of the training images' spread, which refuse to be fitted where there is none."""


def fields_of(what: str, name: str, options: dict[str, Any]) -> frozenset[str]:
    component = COMPONENTS[name]
    return resolve_fields(getattr(component, what), component.options(**options))


def named(variants: list[Variant]) -> list[Any]:
    return [
        pytest.param(variant, id="-".join([variant[0], *map(str, variant[1].values())]))
        for variant in variants
    ]


@pytest.fixture(params=named(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    """Name a score and its options."""
    return request.param


@pytest.fixture
def score(variant, build, fit):
    name, options = variant
    return fit(build(name, **options))


def test_scores_are_float32_finite_and_one_per_image(variant, score, make_trip):
    values = score(make_trip(9))
    assert values.shape == (9,)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    # The mean depth in a few trees is one of few values.
    assert len(values.unique()) > (5 if variant[0] == "isolation-forest" else 8)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_score_does_not_depend_on_the_batch(score, make_trip, size):
    trip = make_trip(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    parts = [score(trip.map(lambda t, i=i: t[i])) for i in order.split(size)]
    torch.testing.assert_close(torch.cat(parts), score(trip)[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("map_variant", named([v for v in VARIANTS if fields_of("map_needs", *v)]))
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
    if name in SPREADS:
        with pytest.raises(DataError, match="equal, so that there is no spread"):
            score.fit([flat] * 4)
        return
    score.fit([flat])
    if name in DISTANCES:
        assert (score(flat) == 0).all()
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


def test_a_fit_on_other_images_is_taken_back(variant, build, make_trip, tmp_path: Path):
    """Maps of training images are by fits without these; then the full fit is read again."""
    score = build(variant[0], **variant[1])
    free = empty_buffers(score)
    score.fit([make_trip(40)])
    wanted = score(make_trip(5))
    save_tensors(tmp_path / "score.safetensors", score.state_dict())
    score.fit([make_trip(30, 1)])
    load_module(score, tmp_path / "score.safetensors", free)
    assert torch.equal(score(make_trip(5)), wanted)


def test_unfitted_score_says_so(variant, build, make_trip):
    with pytest.raises(PluginError, match=f"'{variant[0]}' is not fitted: call fit"):
        build(variant[0], **variant[1])(make_trip(2))


def test_no_training_images_is_an_error(variant, build):
    with pytest.raises(DataError, match="expected some, got none"):
        build(variant[0], **variant[1]).fit([])
