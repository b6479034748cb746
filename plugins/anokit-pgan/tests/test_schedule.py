"""Growth plan."""

import subprocess
import sys

import pytest

from anokit_pgan.plugin import BATCH_SIZES, PganOptions
from anokit_pgan.schedule import batch_size_at, growth_plan


@pytest.mark.parametrize(
    ("size", "images", "last"), [(32, 3_947_520, 347_520), (64, 5_267_712, 467_712)]
)
def test_published_totals_give_the_published_phases(size, images, last):
    plan = growth_plan(size, images, 600_000, BATCH_SIZES)
    assert [stage.images for stage in plan[:-1]] == [600_000] * (len(plan) - 1)
    assert plan[-1].images == last
    assert sum(stage.images for stage in plan) == images
    batches = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32}
    assert all(stage.batch_size == batches[stage.resolution] for stage in plan)


def test_published_cifar_run_makes_about_38_thousand_steps():
    last = growth_plan(32, 3_947_520, 600_000, BATCH_SIZES)[-1]
    assert last.done + last.images // last.batch_size == pytest.approx(38_200, rel=0.01)


def test_every_resolution_is_faded_in_and_then_trained():
    plan = growth_plan(16, 1000, 600_000, BATCH_SIZES)
    assert [stage.name for stage in plan] == ["4", "fade 8", "8", "fade 16", "16"]
    assert [stage.resolution for stage in plan] == [4, 8, 8, 16, 16]
    assert [stage.fading for stage in plan] == [False, True, False, True, False]


@pytest.mark.parametrize("images", [96, 24_000, 240_000])
def test_fewer_images_shorten_all_phases_in_proportion(images):
    plan = growth_plan(8, images, 600_000, BATCH_SIZES)
    assert sum(stage.images for stage in plan) == images
    assert {stage.images for stage in plan[:-1]} == {int(0.912 * images / 2)}


def test_shorter_growth_leaves_more_to_the_last_phase():
    plan = growth_plan(8, 10_000, 1_000, BATCH_SIZES)
    assert [stage.images for stage in plan] == [1_000, 1_000, 8_000]


def test_no_phase_is_empty():
    assert all(stage.images == 1 for stage in growth_plan(32, 1, 600_000, BATCH_SIZES))


def test_steps_done_add_up():
    plan = growth_plan(8, 1_000, 100, {4: 32, 8: 50})
    assert [stage.done for stage in plan] == [0, 4, 6]


@pytest.mark.parametrize(("resolution", "expected"), [(4, 8), (8, 8), (16, 2), (64, 2)])
def test_unlisted_resolutions_have_the_next_smaller_entry(resolution, expected):
    assert batch_size_at(resolution, {8: 8, 16: 2}) == expected


def test_options_take_the_keys_of_a_toml_table():
    assert PganOptions.model_validate({"batch_sizes": {"4": 2}}).batch_sizes == {4: 2}


def test_description_of_the_backbone_needs_no_torch():
    code = (
        "import sys, anokit_pgan.plugin as plugin, anokit_pgan.schedule; "
        "list(plugin.anokit_backbones()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
