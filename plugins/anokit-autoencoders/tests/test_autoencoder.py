"""The plain autoencoder: its step, its schedule, its trips."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from anokit.errors import DataError
from anokit.types import Batch
from anokit_autoencoders.training import weighed

OPTIONS = {"width": 3, "latent_size": 16, "learning_rate": 0.01, "weight_decay": 0.1}


def test_one_phase_by_epochs_or_by_images(build):
    (phase,) = build("ae", images=None, epochs=3).phases()
    assert (phase.name, phase.epochs, phase.images, phase.batch_size) == ("train", 3, None, 4)
    (phase,) = build("ae", images=640).phases()
    assert (phase.epochs, phase.images) == (None, 640)


@pytest.mark.parametrize("networks", ["strided", "lenet"])
def test_two_steps_are_those_of_the_equations(build, draw, step, networks, by_hand, enter):
    backbone = build("ae", networks=networks, **OPTIONS).double()
    encoder, decoder = by_hand.of(backbone.encoder), by_hand.of(backbone.decoder)
    adam = by_hand.Adam([*encoder, *decoder], rate=0.01, decay=0.1)
    enter(backbone)
    for number in range(2):
        images = draw(4, seed=number).double()
        found = step(backbone, images)
        if networks == "strided":
            latent = torch.tanh(by_hand.encode_strided(encoder, images))
            image_hat = by_hand.decode_strided(decoder, latent)
        else:
            image_hat = by_hand.decode_lenet(decoder, by_hand.encode_lenet(encoder, images))
        loss = (images - image_hat).square().mean()
        adam.descend(loss)
        assert found == {"reconstruction": pytest.approx(loss.item())}
    by_hand.assert_same([backbone.encoder, backbone.decoder], [*encoder, *decoder])


def test_the_learning_rate_falls_to_a_tenth_late_in_training(build, draw, step):
    (phase,) = (backbone := build("ae", learning_rate=0.01, learning_rate_drop=0.7)).phases()
    adam = phase.optimisers()["autoencoder"]
    rates = []
    for progress in (0.0, 0.69, 0.7, 0.99, 0.2):
        step(backbone, draw(4), progress=progress)
        rates.append(adam.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.01])


def test_the_learning_rate_stays_where_no_drop_is_asked_for(build, draw, step):
    (phase,) = (backbone := build("ae")).phases()
    adam = phase.optimisers()["autoencoder"]
    step(backbone, draw(4), progress=0.999)
    assert adam.param_groups[0]["lr"] == 1e-3


def test_entering_the_phase_resets_the_optimiser(build, draw, step, enter):
    backbone = build("ae")
    enter(backbone)
    step(backbone, draw(4))
    (fresh,) = backbone.phases()[0].optimisers().values()
    assert not fresh.state


def test_suspects_count_with_the_square_of_the_usual_loss_by_theirs():
    losses = torch.tensor([1.0, 2.0, 9.0], requires_grad=True)
    seen = {}

    def average(losses, opposite):
        seen["opposite"] = opposite
        return (losses[:2].sum() + opposite[2]) / 3

    batch = Batch(torch.zeros(3), torch.arange(3), 0, 0.0, torch.Generator(), average)
    weighed(batch, losses).backward()
    torch.testing.assert_close(seen["opposite"], torch.tensor([16.0, 8.0, 16 / 9]))
    # d/dℓ of 16/ℓ at 9, a third of it: −16/81/3
    torch.testing.assert_close(losses.grad, torch.tensor([1, 1, -16 / 81]) / 3)


def test_a_perfect_batch_has_finite_weights():
    losses = torch.zeros(3, requires_grad=True)
    batch = Batch(torch.zeros(3), torch.arange(3), 0, 0.0, torch.Generator(), lambda a, b: b.sum())
    assert weighed(batch, losses).isfinite()


@pytest.mark.parametrize("name", ["ae", "vae", "aae"])
def test_losses_of_images_go_through_the_batch(build, draw, step, name, enter):
    """With every image supposed anomalous, reconstructions are driven away from the images."""
    ends = {}
    for sign in ("normal", "anomalous"):
        backbone = build(name, learning_rate=1e-3)
        enter(backbone)
        average = {} if sign == "normal" else {"average": lambda _, opposite: opposite.mean()}
        errors = [step(backbone, draw(4), **average)["reconstruction"] for _ in range(15)]
        ends[sign] = errors[-1] / errors[0]
    assert ends["normal"] < 1 < ends["anomalous"]


@pytest.mark.parametrize("name", ["ae", "vae", "aae"])
def test_training_draws_from_the_batch_alone(build, draw, step, name, enter):
    runs = []
    for seed in (0, 0):
        backbone = build(name)
        enter(backbone)
        torch.manual_seed(len(runs))
        state = torch.get_rng_state()
        for number in range(2):
            step(backbone, draw(4), generator=torch.Generator().manual_seed(seed + number))
        assert torch.equal(torch.get_rng_state(), state)
        runs.append([p.detach().clone() for p in backbone.parameters()])
    assert all(map(torch.equal, *runs))


@pytest.mark.parametrize("name", ["ae", "vae", "aae"])
def test_weights_buffers_and_optimisers_are_all_that_a_resumed_run_needs(
    build, draw, step, enter, name
):
    def go(backbone, numbers):
        for number in numbers:
            generator = torch.Generator().manual_seed(number)
            step(backbone, draw(4, seed=number), generator=generator, progress=number / 4)

    options = {"learning_rate_drop": 0.5}
    straight, resumed = build(name, **options), build(name, seed=1, **options)
    optimisers = enter(straight)
    go(straight, range(3))
    resumed.load_state_dict(straight.state_dict())
    for key, optimiser in enter(resumed).items():
        optimiser.load_state_dict(deepcopy(optimisers[key].state_dict()))
    go(straight, [3])
    go(resumed, [3])
    ours, theirs = straight.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", ["ae", "vae", "aae"])
def test_bf16_trains_and_keeps_weights_in_float32(build, draw, step, name, enter):
    backbone = build(name, precision="bf16")
    enter(backbone)
    assert all(torch.tensor(v).isfinite() for v in step(backbone, draw(4)).values())
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())


@pytest.mark.parametrize("name", ["ae", "vae", "aae"])
def test_a_trip_goes_there_and_back(build, draw, name):
    backbone, images = build(name), draw(2)
    with torch.no_grad():
        trip = backbone.round_trip(
            images, frozenset({"image", "latent", "image_hat", "latent_hat"})
        )
        again = backbone.round_trip(trip.image_hat, frozenset({"latent"}))
        assert trip.image is images
        torch.testing.assert_close(backbone.decoder(trip.latent), trip.image_hat)
        torch.testing.assert_close(trip.latent_hat, again.latent)
    with pytest.raises(DataError, match=f"'{name}' was built for"):
        backbone.round_trip(draw(2, size=32), frozenset({"latent"}))


def test_only_what_is_asked_for_is_computed(build, draw):
    backbone = build("ae")
    backbone.decoder.register_forward_hook(lambda *_: pytest.fail("decoded"))
    assert backbone.round_trip(draw(2), frozenset({"latent"})).filled() == {"latent"}
