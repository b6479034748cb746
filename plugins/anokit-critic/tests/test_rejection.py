"""The score of a discriminator."""

from __future__ import annotations

import pytest
import torch

from anokit.types import RoundTrip
from anokit_critic.plugin import CriticRejectionOptions, anokit_scores
from anokit_critic.rejection import CriticRejection

(COMPONENT,) = anokit_scores()


@pytest.mark.parametrize(("on", "field"), [("image", "critic"), ("reconstruction", "critic_hat")])
def test_it_is_one_minus_what_is_thought_of_the_image_or_the_reconstruction(on, field):
    options = CriticRejectionOptions(on=on)
    assert COMPONENT.needs(options) == {field}
    trip = RoundTrip(critic=torch.tensor([0.9, 0.2]), critic_hat=torch.tensor([0.4, 0.3]))
    expected = {"critic": [0.1, 0.8], "critic_hat": [0.6, 0.7]}[field]
    torch.testing.assert_close(CriticRejection(options)(trip), torch.tensor(expected))
