"""A dataset is held to its contract when it is read, and copies of test images are told of."""

from pathlib import Path

import pytest

from anokit.data.preparing import prepare
from anokit.recipe.reading import resolve
from anokit.registry.blame import PluginFault
from anokit.registry.lookup import Registry

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
