"""A discriminator that has won: its loss vanishes, and with it what the generator learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit_skip.blocks import initialise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from anokit.types import Batch

LOOK_EVERY = 10
"""Steps between two looks at whether the discriminator's loss vanished; each waits for the GPU."""


class SaturationGuard(nn.Module):
    """Draws a discriminator's weights anew once its loss has fallen below a limit.

    Published (GANomaly, Skip-GANomaly): in the very step. Here the comparison stays on the device
    and its outcome is read every `LOOK_EVERY` steps, so that the CPU does not wait for the GPU in
    each of them. Adam's state and the running statistics stay as they are, as published.

    Parameters
    ----------
    below
        The limit, ≥ 0; at 0 nothing is ever done.
    """

    seen: Tensor
    """``[]`` bool: the loss vanished since the last look; a buffer, so that a resumed run knows"""

    def __init__(self, below: float) -> None:
        super().__init__()
        self.below = below
        self.register_buffer("seen", torch.tensor(False))

    def watch(self, discriminator: nn.Module, loss_d: Tensor, batch: Batch) -> Tensor:
        """Note L_D, and act where it is time to; return whether as 0-d float32, 1 or 0."""
        self.seen.logical_or_(loss_d < self.below)
        done = torch.zeros_like(loss_d)
        if batch.step % LOOK_EVERY == LOOK_EVERY - 1 and bool(self.seen):
            initialise(discriminator, batch.generator)
            self.seen.fill_(False)
            done.fill_(1.0)
        return done

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return sentences from means of ``reinit``, ``critic_real`` and ``critic_fake``."""
        found = []
        if metrics.get("reinit", 0.0) > 0:
            found.append(
                f"the discriminator's loss fell below {self.below:g}: its weights were drawn anew"
            )
        real, fake = metrics.get("critic_real", 0.5), metrics.get("critic_fake", 0.5)
        if real > 0.99 and fake < 0.01:
            found.append(
                "the discriminator tells reconstructions from images without fail "
                f"({fake:.3f} against {real:.3f}): it no longer guides the generator"
            )
        return found
