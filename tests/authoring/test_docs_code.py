"""What docs/plugins.md shows as whole plugins is executed: it trains and passes its checks."""

import re
import sys
from pathlib import Path
from types import ModuleType
from unittest import SkipTest

import numpy as np
import pytest
import torch
from PIL import Image

from anokit import ImageSpec
from anokit.testing import collect_checks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
SHOWN = dict(
    re.findall(r'^```python title="([\w-]+)\.py"\n(.*?)^```$', PAGE.read_text("utf-8"), re.M | re.S)
)


@pytest.fixture
def shown(monkeypatch):
    """Execute what the page shows under a name."""

    def execute(name):
        module = ModuleType(f"shown_{name}")
        exec(compile(SHOWN[name], f"{name}.py", "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    return execute


def pictures(folder):
    """Write a few pictures that are not square, and return the options that read them."""
    source = np.random.default_rng(0)
    for part in ("train", "test/good", "test/bad"):
        (folder / part).mkdir(parents=True)
        for number in range(3):
            pixels = source.integers(0, 256, (20, 30, 3), np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{number}.png")
    return {"root": str(folder), "size": 16}


def outcomes(module, kind, **samples):
    """Call all checks about a kind; return the names of those that passed and were skipped."""
    passed, skipped = set(), set()
    for check in collect_checks(module, samples=samples):
        if check.name.startswith((f"check_{kind}_", "check_component_")):
            try:
                check()
                passed.add(check.name)
            except SkipTest:
                skipped.add(check.name)
    return passed, skipped


def test_the_dataset_with_a_reader_passes_every_check(shown):
    passed, skipped = outcomes(shown("gauges"), "dataset", gauges=pictures)
    assert not skipped
    assert "check_dataset_reader" in passed


def test_the_student_passes_every_check(shown):
    passed, skipped = outcomes(shown("student"), "backbone")
    assert not skipped
    assert "check_backbone_says_how_it_trains" in passed


def test_the_student_leaves_its_teacher_alone_and_follows_its_schedule(shown):
    module = shown("student")
    options = module.StudentOptions(images=80)
    student = module.Student(options, ImageSpec(1, 16, 16), ()).train()
    assert not student.teacher.training
    assert student.student.training
    before = student.teacher.weight.clone()
    first, last = student.phases()
    first.optimisers()
    rates = []
    for progress in (0.0, 0.5, 0.9):
        student.step(batch_of(progress))
        rates.append(student.adam.param_groups[0]["lr"])
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(0.5e-3)
    assert torch.equal(before, student.teacher.weight)
    assert not last.optimisers()
    last.step(batch_of(0.0, seed=1))
    last.step(batch_of(0.5, seed=2, step=1))
    images = torch.cat([batch_of(0, seed=seed).images for seed in (1, 2)])
    usual = student.differences(images).abs().mean(dim=(0, 2, 3))
    torch.testing.assert_close(student.usual, usual.detach())


def batch_of(progress, seed=0, step=0):
    """Return a batch of random images."""
    from anokit import Batch

    source = torch.Generator().manual_seed(seed)
    images = 2 * torch.rand(8, 1, 16, 16, generator=source) - 1
    return Batch(images, torch.arange(8), step, progress, source)
