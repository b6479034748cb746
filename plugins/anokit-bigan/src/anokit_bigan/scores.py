"""The scores of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import softplus

from anokit.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from anokit.plugin import Options
    from anokit.types import RoundTrip


class CriticCrossEntropy:
    """Cross-entropy of the discriminator's output for the reconstruction with "real".

    −log sigmoid(``logit_hat``), computed without overflow. The backbones of this package fill that
    field; the ``critic_hat`` of others may be a probability.

    Source: Zenati et al., EGBAD (2018), the cross-entropy variant of L_D; with the pair
    discriminator of ALAD (2018), its score "logits".
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    def __call__(self, trip: RoundTrip) -> Tensor:
        """Return the cross-entropy: ``[B] -> [B]``, ≥ 0.

        Raises
        ------
        PluginError
            Where ``logit_hat`` is unfilled or of another shape.
        """
        logits = trip.get("logit_hat")
        if logits is None or logits.ndim != 1:
            got = "it unfilled" if logits is None else str(list(logits.shape))
            raise PluginError(f"score 'critic-cross-entropy' reads logit_hat [B]: got {got}")
        return softplus(-logits.float())
