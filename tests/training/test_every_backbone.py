"""Every installed backbone that is trained can be refined, and goes on bit for bit when resumed."""

import pytest
import torch

from anokit.plugin import resolve_fields
from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.training.refining import KEPT

INSTALLED = [e for e in Registry.load().of_kind("backbone") if e.component.trained]

REFINE = {"share": 0.2, "after": 0.05, "every": 9, "keep_last": 0}
"""Of 60 images: judged once, after the first steps."""


def recipe_of(entry, registry, refine, path):
    """Return a recipe that trains a backbone as small as its example, judged by what it fills."""
    component = entry.component
    options = component.options.model_validate(dict(component.example))
    provides = resolve_fields(component.provides, options)
    starts = resolve_fields(component.trips, options)
    losses = {"image": "shrink", "latent": "dream"}
    score = "error" if "image_hat" in provides else "seen" if "features" in provides else "far"
    tables = {
        "dataset": {"use": "blobs", "size": 32, "channels": 3},
        "backbone": {"use": entry.qualified, **component.example},
        "encoder-losses": [{"use": losses[start]} for start in sorted(starts)],
        "scores": [{"use": score}],
        "training": {"snapshots": 1, "refine": refine},
    }
    return resolve(tables, registry, path)


@pytest.fixture(scope="module")
def registry(toys_file):
    return Registry.load([toys_file])


@pytest.mark.parametrize("entry", INSTALLED, ids=lambda entry: entry.component.name)
def test_refined_and_interrupted_it_ends_the_same(entry, registry, training_of, tmp_path):
    recipe = recipe_of(entry, registry, REFINE, tmp_path / "r.toml")
    whole = training_of(recipe, "whole")
    seen, expected = whole.go()
    tensors, metadata = whole.checkpoint()
    assert len(metadata["judged"]) >= 1
    assert (~tensors[KEPT]).sum(dim=1).tolist() == [12] * len(metadata["judged"])
    broken = training_of(recipe, "broken")
    for _ in range(min(seen.steps - 1, 3)):
        broken.stopped(1)
    _, weights = broken.go()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    again, also = broken.checkpoint()
    assert also["judged"] == metadata["judged"]
    assert all(torch.equal(again[name], value) for name, value in tensors.items())


WEIGHING = [entry for entry in INSTALLED if entry.component.weighs_images]


@pytest.mark.parametrize("strategy", ["exposure-hard", "exposure-soft"])
@pytest.mark.parametrize("entry", WEIGHING, ids=lambda entry: entry.component.name)
def test_exposure_changes_what_it_learns(entry, registry, training_of, tmp_path, strategy):
    refine = {"strategy": strategy, "share": 0.5, "after": 0}
    plain = recipe_of(entry, registry, None, tmp_path / "r.toml")
    exposed = recipe_of(entry, registry, refine, tmp_path / "r.toml")
    _, before = training_of(plain, "plain").go()
    _, after = training_of(exposed, "exposed").go()
    assert any(not torch.equal(after[key], value) for key, value in before.items())
