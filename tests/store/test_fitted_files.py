"""Names of what scores learnt: one for each content, found again by the component."""

from pathlib import Path

import pytest
import torch

from anokit.store.fitted_files import FittedFiles, name_for

TENSORS = [
    torch.zeros(3),
    torch.zeros(3, dtype=torch.bfloat16),
    torch.zeros(3, dtype=torch.bool),
    torch.zeros(3, 1),
    torch.zeros(()),
    torch.zeros(0),
    torch.tensor([0.0, 0.0, -0.0]),
    torch.arange(6.0).reshape(2, 3),
    torch.arange(6.0).reshape(3, 2).T,
]


def test_every_content_has_a_name_of_its_own_and_keeps_it():
    names = [name_for("far-78c01475", {"memory": tensor}) for tensor in TENSORS]
    assert len(set(names)) == len(TENSORS)
    assert names == [name_for("far-78c01475", {"memory": t.clone()}) for t in TENSORS]
    assert name_for("far-78c01475", {"other": TENSORS[0]}) != names[0]


def test_the_order_in_which_a_score_holds_its_buffers_does_not_matter():
    one, two = torch.ones(2), torch.zeros(3)
    assert name_for("a-1", {"one": one, "two": two}) == name_for("a-1", {"two": two, "one": one})


@pytest.mark.parametrize("name", ["far-78c01475.0f3c2a19.safetensors", "far-78c01475.safetensors"])
def test_a_component_finds_its_file_also_in_a_run_that_had_one_name_for_it(name):
    files = FittedFiles.of(Path("scores"), [name, ".far-1.new", "notes.txt"])
    assert files.path("far-78c01475") == Path("scores") / name
    assert files.path("knn-00000000") == Path("scores/knn-00000000.safetensors")
    assert files.renamed(["far-78c01475.older.safetensors", "a-1.b.safetensors"]) == [
        name,
        "a-1.b.safetensors",
    ]
