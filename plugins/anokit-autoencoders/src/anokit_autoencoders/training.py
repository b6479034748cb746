"""What the training steps share: an optimiser with a late drop, weighed losses, the one phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim import Adam

from anokit.nn import set_learning_rate
from anokit.types import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from anokit.types import Batch
    from anokit_autoencoders.plugin import AutoencoderOptions

DROP = 0.1
"""What a learning rate is multiplied by late in training."""


class Descent:
    """Adam on the weights of some networks, its learning rate a tenth late in training.

    Parameters
    ----------
    networks
        What learns; gradients of no other weights are computed.
    learning_rate
        Step size until the drop.
    drop_at
        Share of the training after which it falls; 1: never.
    weight_decay
        λ of λ·w, added to the gradient.
    """

    def __init__(
        self,
        *networks: nn.Module,
        learning_rate: float,
        drop_at: float,
        weight_decay: float = 0.0,
    ) -> None:
        self.networks = networks
        self.learning_rate = learning_rate
        self.drop_at = drop_at
        self.weight_decay = weight_decay

    def start(self) -> Adam:
        """Begin with a fresh optimiser; return it."""
        self._weights = [p for network in self.networks for p in network.parameters()]
        fused = all(weight.device.type in {"cpu", "cuda"} for weight in self._weights)
        self._adam = Adam(
            self._weights, lr=self.learning_rate, weight_decay=self.weight_decay, fused=fused
        )
        return self._adam

    def step(self, loss: Tensor, progress: float) -> None:
        """Take a step down the gradient of ``loss``; ``progress``: as in `Batch`."""
        dropped = DROP if progress >= self.drop_at else 1.0
        set_learning_rate(self._adam, self.learning_rate * dropped)
        self._adam.zero_grad()
        torch.autograd.backward(loss, inputs=self._weights)
        self._adam.step()


def weighed(batch: Batch, losses: Tensor) -> Tensor:
    """Return the scalar to minimise for losses ``[B]`` > 0: their mean, if no image is suspected.

    The loss of an image that is supposed anomalous is m²/ℓ, with m the mean of the batch: 1/ℓ as in
    Qiu et al., "Latent Outlier Exposure for Anomaly Detection with Contaminated Data" (2022), in
    units in which a usual image has loss 1. Without them a mean over pixels would count for
    thousands of times as much as ℓ, and a sum for next to nothing.
    """
    usual = losses.detach().mean()
    opposite = usual.square() / losses.clamp_min(torch.finfo(losses.dtype).tiny)
    return batch.average(losses, opposite)


def one_phase(
    options: AutoencoderOptions,
    step: Callable[[Batch], Mapping[str, Tensor]],
    optimisers: Callable[[], Mapping[str, Optimizer]],
) -> list[Phase]:
    """Return the one phase of training."""
    return [
        Phase(
            name="train",
            step=step,
            optimisers=optimisers,
            batch_size=options.batch_size,
            images=options.images,
            epochs=options.epochs if options.images is None else None,
        )
    ]
