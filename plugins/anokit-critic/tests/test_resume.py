"""A training that is taken up again ends with the same weights, bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch

from anokit.types import Batch
from anokit_critic.alocc import ALOCC
from anokit_critic.fence_gan import FenceGAN


def steps_of(phase, draw, generator, places):
    for step in places:
        images = draw(4, seed=step)
        phase.step(Batch(images, torch.arange(4), step, step / 4, generator))


@pytest.mark.parametrize(
    ("kind", "options"),
    [(ALOCC, {"stop_below": 0.1, "stop_window": 3}), (FenceGAN, {"decay": 0.5})],
)
def test_in_the_middle_of_any_phase(build, draw, kind, options):
    for number in range(len(build(kind, **options).phases())):
        whole, generator = build(kind, **options), torch.Generator().manual_seed(0)
        for earlier in whole.phases()[:number]:
            earlier.optimisers()
            steps_of(earlier, draw, generator, range(2))
        phase = whole.phases()[number]
        optimisers = phase.optimisers()
        steps_of(phase, draw, generator, range(2))
        weights = copy.deepcopy(whole.state_dict())
        states = copy.deepcopy({name: one.state_dict() for name, one in optimisers.items()})
        place = generator.get_state()
        steps_of(phase, draw, generator, range(2, 4))

        resumed = build(kind, seed=1, **options)
        resumed.load_state_dict(weights)
        phase = resumed.phases()[number]
        for name, one in phase.optimisers().items():
            one.load_state_dict(states[name])
        steps_of(phase, draw, torch.Generator().set_state(place), range(2, 4))
        expected = whole.state_dict()
        assert all(torch.equal(value, expected[n]) for n, value in resumed.state_dict().items())
