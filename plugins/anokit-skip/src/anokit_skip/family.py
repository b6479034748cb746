"""What GANomaly and Skip-GANomaly share: reconstructions trained against a discriminator."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

from anokit.nn import batch_statistics
from anokit.types import Phase
from anokit_skip.training import adam

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn
    from torch.optim import Adam

    from anokit.types import Batch
    from anokit_skip.discriminator import Judgement
    from anokit_skip.plugin import GanomalyOptions, SkipGanomalyOptions
    from anokit_skip.saturation import SaturationGuard

    Step = Callable[[Batch], Mapping[str, Tensor]]

SMALLEST = 32
"""Least side of an image in pixels."""


class Opponents:
    """A generator and its discriminator, which take a step each on every batch.

    Parameters
    ----------
    generator
        The networks that reconstruct.
    discriminator
        ``[B, C, H, W] -> Judgement``.
    guard
        What watches over the discriminator's loss.
    """

    def __init__(
        self, generator: Sequence[nn.Module], discriminator: nn.Module, guard: SaturationGuard
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.guard = guard

    def start(self, learning_rate: float) -> Mapping[str, Adam]:
        """Begin with fresh optimisers; return them."""
        for network in (*self.generator, self.discriminator):
            if self.guard.seen.is_cuda:
                network.to(memory_format=torch.channels_last)
        self._weights_g = [p for network in self.generator for p in network.parameters()]
        self._weights_d = list(self.discriminator.parameters())
        self._adam_g = adam(self._weights_g, learning_rate)
        self._adam_d = adam(self._weights_d, learning_rate)
        return {"generator": self._adam_g, "discriminator": self._adam_d}

    def step(
        self,
        batch: Batch,
        loss_g: Tensor,
        loss_d: Tensor,
        real: Judgement,
        fake: Judgement,
        **terms: Tensor,
    ) -> Mapping[str, Tensor]:
        """Let both learn from their losses; return the metrics of the step, ``terms`` among them.

        Each network has run once on each side of the batch: `inputs` keeps L_G out of D's gradients
        and L_D out of the generator, whose weights have changed by then. The gradients are those
        of x̂ detached and judged again.
        """
        self._adam_g.zero_grad()
        torch.autograd.backward(loss_g, inputs=self._weights_g, retain_graph=True)
        self._adam_g.step()
        self._adam_d.zero_grad()
        torch.autograd.backward(loss_d, inputs=self._weights_d)
        self._adam_d.step()
        metrics = {
            "loss_g": loss_g,
            "loss_d": loss_d,
            **terms,
            "critic_real": real.logits.sigmoid().mean(),
            "critic_fake": fake.logits.sigmoid().mean(),
            "reinit": self.guard.watch(self.discriminator, loss_d.detach(), batch),
        }
        return {name: value.detach() for name, value in metrics.items()}

    def judge(self, fields: dict[str, Tensor], needs: frozenset[str]) -> None:
        """Add what D says of ``image`` and ``image_hat``, as far as ``needs`` asks.

        ``critic`` and ``critic_hat`` are probabilities that an image is real, in [0, 1].
        """
        for suffix in ("", "_hat"):
            if needs & {f"features{suffix}", f"critic{suffix}"}:
                judgement = self.discriminator(fields[f"image{suffix}"])
                fields[f"features{suffix}"] = judgement.features
                fields[f"critic{suffix}"] = judgement.logits.sigmoid()


def one_phase(
    options: SkipGanomalyOptions | GanomalyOptions, opponents: Opponents, step: Step
) -> list[Phase]:
    """Return the one phase of training."""
    return [
        Phase(
            name="train",
            step=step,
            optimisers=lambda: opponents.start(options.learning_rate),
            batch_size=options.batch_size,
            images=options.images,
            epochs=options.epochs if options.images is None else None,
        )
    ]


def channels_last(images: Tensor) -> Tensor:
    """Return images in the layout that convolutions of the device like."""
    return images.contiguous(memory_format=torch.channels_last) if images.is_cuda else images


def scoring(backbone: nn.Module, *, over_batch: bool) -> AbstractContextManager[None]:
    """Return the context of a trip; ``over_batch``: see `batch_statistics`, as published."""
    return batch_statistics(backbone) if over_batch else nullcontext()
