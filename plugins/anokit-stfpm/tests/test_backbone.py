"""Student and teacher: what is trained, what stays, and the equations of the paper."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from anokit.errors import DataError, RecipeError
from anokit.types import EpochEnd

SCALES = frozenset(f"{field}.stage{k}" for field in ("patches", "patches_hat") for k in (1, 2))
ALL = SCALES | {"image", "features", "patches", "patches_hat", "anomaly_map"}


def distances(taught: torch.Tensor, learnt: torch.Tensor) -> np.ndarray:
    """Return ½‖t̂ − ŝ‖² at every position, equation 1: ``[B, h, w]``."""
    first, second = (values.detach().double().numpy() for values in (taught, learnt))
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    return 0.5 * ((first - second) ** 2).sum(axis=1)


def test_the_student_learns_and_the_teacher_stays(build, images, train):
    backbone = build(learning_rate=0.1)
    teacher = copy.deepcopy(backbone.teacher.state_dict())
    student = copy.deepcopy(backbone.student.state_dict())
    losses = [metrics["loss"] for metrics in train(backbone, images(4), 30)]
    assert losses[-1] < 0.5 * losses[0]
    after = backbone.teacher.state_dict()
    assert all(torch.equal(after[name], value) for name, value in teacher.items())
    moved = backbone.student.state_dict()
    assert all(not torch.equal(moved[name], value) for name, value in student.items())


def test_the_teacher_evaluates_whatever_the_mode_of_the_backbone(build):
    backbone = build().train()
    assert backbone.student.training
    assert not any(module.training for module in backbone.teacher.modules())
    assert not any(p.requires_grad for p in backbone.teacher.parameters())


def test_student_and_teacher_begin_at_different_weights(build):
    backbone = build()
    pairs = zip(backbone.teacher.parameters(), backbone.student.parameters(), strict=True)
    assert any(not torch.equal(first, second) for first, second in pairs)


def test_the_loss_is_that_of_the_paper(build, images, train):
    backbone, batch = build(), images(4)
    reference = copy.deepcopy(backbone).train()
    with torch.no_grad():
        prepared = reference.prepare(batch)
        maps = [reference._maps(net, prepared) for net in (reference.teacher, reference.student)]
    stages = [distances(taught, learnt).mean() for taught, learnt in zip(*maps, strict=True)]
    (metrics,) = train(backbone, batch, 1)
    assert metrics["stage1"] == pytest.approx(stages[0], rel=1e-4)
    assert metrics["stage2"] == pytest.approx(stages[1], rel=1e-4)
    assert metrics["loss"] == pytest.approx(sum(stages), rel=1e-4)


def test_the_first_step_is_one_of_sgd(build, images, train):
    options = {"learning_rate": 0.05, "weight_decay": 0.01}
    backbone, batch = build(**options), images(4)
    reference = copy.deepcopy(backbone).train()
    prepared = reference.prepare(batch)
    with torch.no_grad():
        taught = reference._maps(reference.teacher, prepared)
    loss = torch.zeros(())
    for first, second in zip(taught, reference._maps(reference.student, prepared), strict=True):
        loss = loss + (1 - torch.cosine_similarity(first, second, dim=1)).mean()
    loss.backward()
    train(backbone, batch, 1)
    pairs = zip(reference.student.parameters(), backbone.student.parameters(), strict=True)
    for before, after in pairs:
        expected = before - 0.05 * (before.grad + 0.01 * before)
        torch.testing.assert_close(after, expected, rtol=1e-3, atol=1e-5)


def test_the_map_is_the_product_over_scales(build, images):
    backbone = build().eval()
    trip = backbone.round_trip(images(3), ALL)
    fine, coarse = (
        torch.from_numpy(
            distances(trip.get(f"patches.stage{k}"), trip.get(f"patches_hat.stage{k}"))
        )
        for k in (1, 2)
    )
    large = torch.nn.functional.interpolate(
        coarse[:, None], fine.shape[-2:], mode="bilinear", align_corners=False
    )[:, 0]
    torch.testing.assert_close(trip.anomaly_map.double(), fine * large, rtol=1e-4, atol=1e-6)
    assert trip.anomaly_map.shape == (3, 8, 8)


def test_an_image_that_was_learnt_has_a_small_map(build, images, train):
    backbone, known = build(learning_rate=0.1), images(4)
    train(backbone, known, 60)
    new = -images(4, seed=1).sort(dim=-1).values
    found = [
        backbone.round_trip(batch, frozenset({"anomaly_map"})).anomaly_map.amax(dim=(1, 2))
        for batch in (known, new)
    ]
    assert found[1].min() > found[0].max()


def test_the_joined_patches_have_unit_length_in_every_scale(build, images):
    trip = build().eval().round_trip(images(2), ALL)
    assert trip.patches.shape == trip.patches_hat.shape == (2, 24 + 32, 4, 4)
    deep = trip.patches[:, 24:]
    torch.testing.assert_close(deep.norm(dim=1), torch.ones(2, 4, 4))
    torch.testing.assert_close(trip.features.norm(dim=1), torch.ones(2))


def test_fields_of_the_teacher_do_not_run_the_student(build, images, monkeypatch):
    backbone = build().eval()
    monkeypatch.setattr(backbone.student, "forward_intermediates", None)
    needs = frozenset({"features", "patches", "patches.stage1"})
    assert backbone.round_trip(images(1), needs).filled() == needs


def test_networks_end_behind_the_deepest_stage(build):
    whole = sum(p.numel() for p in timm.create_model("test_efficientnet").parameters())
    deep, shallow = (
        sum(p.numel() for p in build(stages=stages).student.parameters())
        for stages in ((1, 2), (0,))
    )
    assert shallow < deep < whole / 3


def test_weights_of_a_file_are_the_teachers_alone(build, tmp_path):
    state = timm.create_model("test_efficientnet").state_dict()
    save_file(state, tmp_path / "own.safetensors")
    backbone = build(weights=str(tmp_path / "own.safetensors"))
    own = backbone.teacher.state_dict()
    assert own
    assert all(torch.equal(value, state[name]) for name, value in own.items())
    learnt = backbone.student.state_dict()
    assert any(not torch.equal(value, state[name]) for name, value in learnt.items())


def test_the_student_with_the_smallest_maps_of_held_out_images_is_kept(build, images, train):
    backbone, held = build(selection="validation", learning_rate=0.1), images(3, seed=2)
    train(backbone, held, 20)
    learnt = copy.deepcopy(backbone.student.state_dict())
    (phase,) = backbone.phases()
    found = []
    for student in (build(seed=5).student.state_dict(), learnt, build(seed=6).student.state_dict()):
        backbone.student.load_state_dict(student)
        with torch.no_grad():
            end = EpochEnd([held], [held[:2], held[2:]], last=len(found) == 2)
            found.append(float(phase.epoch_ended(end)["validation"]))
    assert found[1] < min(found[0], found[2])
    kept = backbone.student.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in learnt.items())


def test_a_choice_without_held_out_images_is_refused_with_what_to_do(build, images):
    (phase,) = build(selection="validation").phases()
    with pytest.raises(RecipeError, match=r"got none; set validation = 0\.2 under \[training\]"):
        phase.epoch_ended(EpochEnd([images(2)], [], last=False))
    assert build().phases()[0].epoch_ended is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "test_eficientnet"}, r"no model 'test_eficientnet'; did you mean"),
        ({"stages": (1, 99)}, r"cannot take images of 32×32 pixels with stages = \[1, 99\]"),
    ],
)
def test_a_wish_that_the_model_cannot_grant_is_one_message(build, wrong, message):
    with pytest.raises(RecipeError, match=message):
        build(**wrong)


def test_images_of_another_kind_are_refused(build, images):
    with pytest.raises(DataError, match=r"'stfpm' takes images of 1 or 3 channels, got 2×32×32"):
        build((2, 32, 32))
    with pytest.raises(ValueError, match="images of stfpm"):
        build().round_trip(images(1, side=16), ALL)
