"""A dataset is held to its contract when it is read, and copies of test images are told of."""

from pathlib import Path

import numpy as np
import pytest

from anokit.data.arrays import ArraySplit
from anokit.data.contract import LOOKED_AT, image_faults, items_of
from anokit.data.preparing import prepare
from anokit.recipe.reading import resolve
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry
from anokit.types import ImageSpec

HOSTILE = Path(__file__).parents[1] / "hostile.py"


@pytest.fixture
def read(toys_file, monkeypatch):
    """Read the hostile dataset with a fault."""
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    registry = Registry.load([toys_file, HOSTILE])

    def prepared(how):
        tables = {
            "dataset": {"use": "hostile/hostile", "how": how},
            "backbone": {"use": "toys/linear"},
            "scores": [{"use": "toys/error"}],
        }
        return prepare(resolve(tables, registry, Path("hostile.toml")).dataset, 0)

    return prepared


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("float", r"train\[0\].image \(train/0\) is torch.float32, expected uint8"),
        ("dark", "no pixel is above 1"),
        ("random", "another sample when it is asked for again"),
        ("shape", r"is \[1, 7, 8\], the spec says 1×8×8"),
        ("labels", r"train\[0\] has a label or a mask"),
        ("odd label", r"test\[0\].label is 7"),
    ],
)
def test_a_dataset_that_breaks_its_contract_is_refused(read, how, message):
    with pytest.raises(
        PluginFault, match=rf"dataset 'hostile' of hostile sha256:.*{message}.*hostile.py:\d+"
    ):
        read(how)


def test_one_that_keeps_it_is_read(read):
    assert len(read("nothing").train) == 30


@pytest.mark.parametrize(("brightest", "faults"), [(0, 1), (1, 1), (2, 0)])
def test_black_samples_are_a_fault_where_all_images_are_black(brightest, faults):
    images = np.zeros((50, 1, 4, 4), np.uint8)
    images[3] = brightest
    split = ArraySplit(images, [str(number) for number in range(50)])
    items = items_of(split, LOOKED_AT)
    assert 3 not in [place for place, _ in items]
    spec = ImageSpec(1, 4, 4)
    assert len(list(image_faults(spec, "train", items, split))) == faults
    assert not list(image_faults(spec, "test", items, split))
