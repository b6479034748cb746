import pytest
import torch
from torch.optim import SGD

from anokit.nn import set_learning_rate


def test_every_group_gets_the_rate_and_keeps_all_else():
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    sgd = SGD([{"params": weights[:1], "momentum": 0.5}, {"params": weights[1:]}], lr=1.0)
    set_learning_rate(sgd, 0.25)
    assert [group["lr"] for group in sgd.param_groups] == [0.25, 0.25]
    assert [group["momentum"] for group in sgd.param_groups] == [0.5, 0]
    for weight in weights:
        weight.grad = torch.ones(1)
    sgd.step()
    assert [weight.item() for weight in weights] == [0.75, 0.75]


@pytest.mark.parametrize("rate", [-0.1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    sgd = SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    with pytest.raises(ValueError, match="expected a rate of at least 0"):
        set_learning_rate(sgd, rate)
    assert sgd.param_groups[0]["lr"] == 1.0
