"""Encoder losses against hand-written formulas."""

import pytest
import torch

from anokit.plugin import resolve_fields
from anokit.types import RoundTrip
from anokit_losses.plugin import AbsoluteOptions, anokit_encoder_losses

COMPONENTS = {component.name: component for component in anokit_encoder_losses()}


@pytest.fixture
def trip() -> RoundTrip:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return RoundTrip(
        image=draw(4, 3, 2, 2),
        image_hat=draw(4, 3, 2, 2),
        latent=draw(4, 5),
        latent_hat=draw(4, 5),
        features=draw(4, 7),
        features_hat=draw(4, 7),
    )


def build(name: str, **options: object):
    component = COMPONENTS[name]
    return component.load()(component.options(**options))


def difference(trip: RoundTrip, field: str) -> torch.Tensor:
    return trip.get(field) - trip.get(f"{field}_hat")


def test_names():
    assert set(COMPONENTS) == {"di", "dz", "izi", "ziz", "izi-f"}


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("di", lambda t: difference(t, "image").abs().mean()),
        ("dz", lambda t: difference(t, "latent").abs().mean()),
        ("izi", lambda t: difference(t, "image").square().mean()),
        ("ziz", lambda t: difference(t, "latent").square().mean()),
    ],
)
def test_formula(name, formula, trip):
    torch.testing.assert_close(build(name)(trip), formula(trip))


@pytest.mark.parametrize(("name", "elements"), [("di", 12), ("dz", 5)])
def test_sum_is_over_elements_and_mean_over_images(name, elements, trip):
    summed = build(name, reduction="sum")(trip)
    torch.testing.assert_close(summed, elements * build(name)(trip))


def test_izi_f_adds_kappa_times_the_feature_term(trip):
    plain, weighted = build("izi")(trip), build("izi-f", kappa=3)(trip)
    torch.testing.assert_close(weighted - plain, 3 * difference(trip, "features").square().mean())


@pytest.mark.parametrize("name", COMPONENTS)
def test_reads_just_what_it_declares(name, trip):
    component = COMPONENTS[name]
    needs = resolve_fields(component.needs, component.options())
    fields = {field: trip.get(field).clone().requires_grad_() for field in needs}
    loss = build(name)(RoundTrip(**fields))
    loss.backward()
    assert loss.shape == ()
    assert all(field.grad.any() for field in fields.values())


@pytest.mark.parametrize("name", COMPONENTS)
def test_is_zero_for_a_perfect_trip(name, trip):
    perfect = RoundTrip(
        image=trip.image,
        image_hat=trip.image,
        latent=trip.latent,
        latent_hat=trip.latent,
        features=trip.features,
        features_hat=trip.features,
    )
    assert build(name)(perfect) == 0


@pytest.mark.parametrize("name", COMPONENTS)
def test_latent_losses_start_at_a_latent(name):
    assert COMPONENTS[name].trip_from == ("image" if name.startswith("izi") else "latent")


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="reduction"):
        AbsoluteOptions(reduction="max")
