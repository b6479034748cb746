"""What a discriminator thinks of an image, as an anomaly score."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.types import RoundTrip
    from anokit_critic.plugin import CriticRejectionOptions


class CriticRejection:
    """1 − D(x), or 1 − D(x̂) of the reconstruction; in [0, 1] where D is a probability.

    A critic that is no probability is taken as it is: the ranking is that of −D in any case.

    Source: Sabokrou et al., ALOCC (CVPR 2018), OCC1 and OCC2; Ngo et al., Fence GAN (2019).
    """

    def __init__(self, options: CriticRejectionOptions) -> None:
        self.on_image = options.on == "image"

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return ``[B]``, higher where the discriminator takes the image less for a real one."""
        return 1 - (trip.critic if self.on_image else trip.critic_hat).float()
