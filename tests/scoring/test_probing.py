"""What counts as the same result whatever the batch."""

from pathlib import Path

import pytest
import torch

from anokit.recipe.reading import resolve
from anokit.registry.lookup import Registry
from anokit.scoring.probing import FEW, RTOL, close, try_out


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1.0, 2.0], [1.0, 2.001], True),
        ([1.0, 2.0], [1.0, 2.01], False),
        ([1e-17, 2e-17], [1.2e-17, 1.8e-17], True),
        ([1e-6, 2e-6], [1e-6, 2.1e-6], False),
        ([float("nan"), 1.0], [float("nan"), 1.0], True),
        ([float("nan"), 1.0], [0.0, 1.0], False),
    ],
)
def test_results_are_the_same_up_to_rounding(one, other, same):
    assert close(torch.tensor(one), torch.tensor(other), RTOL) is same


def test_scores_that_are_tried_out_are_fitted_on_the_same_trips(job_of, monkeypatch):
    """Each needs some of them, and trips through a large network take longest of all."""
    tables = {
        "dataset": {"use": "digits", "normal": [0]},
        "backbone": {
            "use": "timm-features",
            "model": "test_efficientnet",
            "weights": "random",
            "input_size": 32,
            "patch_stages": [1],
        },
        "scores": [{"use": "mahalanobis"}, {"use": "padim"}, {"use": "knn"}],
    }
    job = job_of(resolve(tables, Registry.load(), Path("trips.toml")))
    shown = []
    forward = job.backbone.typed.round_trip

    def counted(images, needs):
        shown.append(len(images))
        return forward(images, needs)

    monkeypatch.setattr(job.backbone.module, "round_trip", counted)
    try_out(job)
    assert sorted(shown) == [1, 2, FEW]
