import torch

import anokit_critic.plugin
from anokit.testing import parametrize_checks
from anokit.types import RoundTrip


def planted():
    """Make a discriminator that rejects anomalous images."""
    images = torch.zeros(6, 1, 8, 8)
    accepted, rejected = torch.linspace(0.6, 0.9, 6), torch.full((6,), 0.3)
    return RoundTrip(image=images, critic=accepted), RoundTrip(image=images, critic=rejected)


@parametrize_checks(anokit_critic.plugin, samples={"critic-rejection": planted})
def test_conformance(check):
    check()
