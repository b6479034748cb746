"""What counts as the same result whatever the batch."""

import pytest
import torch

from anokit.scoring.probing import RTOL, close


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
