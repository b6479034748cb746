"""The training step of GEOM."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from anokit.types import Batch

STEPS = 3


def batch_of(images, seed=0, step=0, **more):
    generator = torch.Generator(images.device).manual_seed(seed)
    return Batch(images, torch.arange(len(images)), step, 0.0, generator, **more)


def train(backbone, batches):
    """Take a step on each batch; return the metrics of each."""
    (phase,) = backbone.phases()
    phase.optimisers()
    backbone.train()
    found = [{name: value.item() for name, value in phase.step(b).items()} for b in batches]
    backbone.eval()
    return found


def published_logits(x, weight):
    """WRN-10 by the equations, with the statistics of the batch."""

    def activated(x, name):
        mean = x.mean(dim=(0, 2, 3), keepdim=True)
        variance = (x - mean).square().mean(dim=(0, 2, 3), keepdim=True)
        scale, offset = (weight[f"{name}.{end}"][:, None, None] for end in ("weight", "bias"))
        return ((x - mean) / (variance + 1e-5).sqrt() * scale + offset).clamp(min=0)

    x = functional.conv2d(x, weight["stem.weight"], padding=1)
    for place, stride in enumerate((1, 2, 2)):
        name = f"blocks.{place}"
        active = activated(x, f"{name}.norm1")
        inner = functional.conv2d(active, weight[f"{name}.conv1.weight"], None, stride, 1)
        inner = activated(inner, f"{name}.norm2")
        inner = functional.conv2d(inner, weight[f"{name}.conv2.weight"], None, 1, 1)
        around = f"{name}.around.weight"
        x = inner + (
            functional.conv2d(active, weight[around], None, stride)
            if place or around in weight
            else x
        )
    features = activated(x, "norm").mean(dim=(2, 3))
    return features @ weight["classifier.weight"].T + weight["classifier.bias"]


@pytest.mark.parametrize("widen", [1, 2])
def test_steps_equal_an_independent_implementation(build, draw, widen):
    # widen 1: the first group keeps 16 channels and has no convolution around its block.
    backbone = build(widen=widen, learning_rate=0.01, weight_decay=0.3).double()
    weight = {name: value.detach().clone() for name, value in backbone.network.named_parameters()}
    images = [draw(6, seed=step).double() for step in range(STEPS)]
    found = train(backbone, [batch_of(one, step) for step, one in enumerate(images)])

    first = {name: torch.zeros_like(value) for name, value in weight.items()}
    second = {name: torch.zeros_like(value) for name, value in weight.items()}
    for step, batch in enumerate(images):
        packs = torch.rand(2, 4, generator=torch.Generator().manual_seed(step)).argsort(dim=1)
        wanted = packs.flatten()[:6]
        turned = [one.rot90(int(t), (1, 2)) for one, t in zip(batch, wanted, strict=True)]
        for value in weight.values():
            value.requires_grad_()
        logits = published_logits(torch.stack(turned), weight)
        shares = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        loss = -shares[torch.arange(6), wanted].log().mean()
        gradients = torch.autograd.grad(loss, list(weight.values()))
        assert found[step]["loss"] == pytest.approx(loss.item(), rel=1e-6)
        assert found[step]["accuracy"] == pytest.approx(
            (logits.argmax(dim=1) == wanted).double().mean().item()
        )
        for (name, value), slope in zip(list(weight.items()), gradients, strict=True):
            slope = slope + 0.3 * value.detach()
            first[name] = 0.9 * first[name] + 0.1 * slope
            second[name] = 0.999 * second[name] + 0.001 * slope**2
            mean = first[name] / (1 - 0.9 ** (step + 1))
            root = (second[name] / (1 - 0.999 ** (step + 1))).sqrt()
            weight[name] = value.detach() - 0.01 * mean / (root + 1e-7)
    # Steps are of 0.01; the loss is in float32.
    for name, value in backbone.network.named_parameters():
        torch.testing.assert_close(value.detach(), weight[name], rtol=0, atol=2e-6)


def test_a_phase_is_two_hundred_passes_rounded_up_to_whole_epochs(build):
    for share, epochs, kinds in ((1.0, 3, 72), (1 / 3, 9, 24), (1 / 18, 50, 4)):
        (phase,) = build(share=share, images=None).phases()
        assert (phase.epochs, phase.images, phase.batch_size) == (epochs * kinds, None, 6)
    (phase,) = build(share=1.0, images=None, epochs=0.5).phases()
    assert phase.epochs == 36
    (phase,) = build(images=640, epochs=2).phases()
    assert (phase.epochs, phase.images) == (None, 640)


@pytest.mark.parametrize(("count", "least", "most"), [(128, 1, 2), (144, 2, 2), (8, 0, 1)])
def test_a_batch_has_every_transformation_about_equally_often(build, count, least, most):
    backbone = build(share=1.0)
    dealt = backbone._deal(count, torch.Generator().manual_seed(0))
    often = torch.bincount(dealt, minlength=72)
    assert len(dealt) == often.sum() == count
    assert (often.min(), often.max()) == (least, most)
    assert not torch.equal(dealt, backbone._deal(count, torch.Generator().manual_seed(1)))


def test_over_many_batches_a_place_has_every_transformation(build):
    backbone, generator = build(share=1 / 9), torch.Generator().manual_seed(0)
    dealt = torch.stack([backbone._deal(6, generator) for _ in range(800)])
    for place in range(6):
        often = torch.bincount(dealt[:, place], minlength=8)
        assert (often - 100).abs().max() < 45, "100 ± 9 expected"


def test_images_are_weighed_by_the_loss_of_being_recognised_and_its_opposite(build, draw):
    seen = []

    def average(losses, opposite):
        seen.append((losses.detach(), opposite.detach()))
        return opposite.mean()

    backbone = build()
    (metrics,) = train(backbone, [batch_of(draw(6), average=average)])
    ((losses, opposite),) = seen
    share = (-losses).exp()
    torch.testing.assert_close(opposite, -torch.log(1 - share), rtol=1e-4, atol=1e-6)
    assert losses.shape == opposite.shape == (6,)
    assert metrics["loss"] == pytest.approx(opposite.mean().item())


def test_the_opposite_is_finite_for_an_image_that_is_recognised_for_certain(build, draw):
    backbone = build()
    with torch.no_grad():
        backbone.network.classifier.weight.zero_()
        backbone.network.classifier.bias.copy_(torch.tensor([200.0, 0, 0, 0]))
    seen = []

    def average(losses, opposite):
        seen.append(opposite.detach())
        return opposite.mean()

    train(backbone, [batch_of(draw(6), average=average)])
    assert seen[0].isfinite().all()
    assert seen[0].max() > 13, "−log(1e-6)"
    assert all(parameter.isfinite().all() for parameter in backbone.parameters())


def test_the_network_learns_to_tell_turns_apart(build):
    ramp = torch.linspace(-1, 1, 8).expand(6, 3, 8, 8)
    backbone = build(learning_rate=0.01)
    found = train(backbone, [batch_of(ramp, step) for step in range(30)])
    assert found[-1]["loss"] < 0.2 * found[0]["loss"]
    assert found[-1]["accuracy"] == 1


def test_equal_seeds_give_equal_weights_and_no_other_generator_is_touched(build, draw):
    state, runs = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        backbone = build()
        train(backbone, [batch_of(draw(6), seed)] * 2)
        runs.append([p.detach() for p in backbone.parameters()])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, runs[0], runs[1]))
    assert not all(map(torch.equal, runs[0], runs[2])), "the deal is the batch generator's"


def test_running_statistics_are_kept_for_scoring(build, draw):
    backbone = build()
    before = backbone.network.norm.running_mean.clone()
    train(backbone, [batch_of(draw(6))])
    assert not torch.equal(before, backbone.network.norm.running_mean)
    names = set(backbone.state_dict())
    assert {"network.norm.running_mean", "network.norm.running_var"} <= names
    assert "maps" not in names, "made from the options, not kept"


def test_bf16_changes_the_arithmetic_of_training_alone(build, draw):
    exact, rough = build(precision="fp32"), build(precision="bf16")
    (one,), (two,) = (train(backbone, [batch_of(draw(6))]) for backbone in (exact, rough))
    assert two["loss"] == pytest.approx(one["loss"], rel=0.05)
    assert two["loss"] != one["loss"]
    assert all(parameter.dtype == torch.float32 for parameter in rough.parameters())


def test_the_last_batch_may_be_small(build, draw):
    (metrics,) = train(build(share=1.0), [batch_of(draw(2))])
    assert metrics["loss"] > 0


def test_entering_the_phase_resets_the_optimiser(build, draw):
    backbone = build()
    train(backbone, [batch_of(draw(6))])
    (fresh,) = backbone.phases()[0].optimisers().values()
    assert not fresh.state


def test_a_resumed_training_ends_with_the_same_weights(build, draw):
    images = [draw(6, seed=step) for step in range(4)]

    def steps(backbone, generator, places, state=None):
        (phase,) = backbone.phases()
        (optimiser,) = phase.optimisers().values()
        if state:
            optimiser.load_state_dict(state)
        backbone.train()
        for place in places:
            phase.step(Batch(images[place], torch.arange(6), place, 0.0, generator))
        return optimiser

    whole, resumed = build(), build(seed=5)
    steps(whole, torch.Generator().manual_seed(0), range(4))
    first, generator = build(), torch.Generator().manual_seed(0)
    state = steps(first, generator, range(2)).state_dict()
    resumed.load_state_dict(first.state_dict())
    steps(resumed, generator, range(2, 4), state)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
