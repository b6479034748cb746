"""What f-AnoGAN and ADGAN share: Wasserstein GANs with gradient penalty (Gulrajani et al.)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.optim import Adam

from anokit.nn import Precision, autocast, frozen, gradient_penalty, uses_bf16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer

    from anokit.types import Batch, ImageSpec

BETAS = (0.0, 0.9)


class WassersteinGAN:
    """Optimisers and training step of a generator G and a critic D.

    ::

        L_D = E[D(G(z))] − E[D(x)] + λ·E[(‖∇D(x̂)‖ − 1)²]        L_G = −E[D(G(z))]

    Parameters
    ----------
    generator, critic
        G: ``[B, Z] -> [B, C, H, W]`` and D: ``[B, C, H, W] -> [B]``.
    latent_size
        Z; z ~ N(0, I).
    learning_rate
        Of both Adams (β = 0, 0.9).
    penalty
        λ.
    critic_steps
        Steps of D for each step of G.
    precision
        Arithmetic of the forward passes, see `uses_bf16`; the penalty is float32 in any case.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        *,
        latent_size: int,
        learning_rate: float,
        penalty: float,
        critic_steps: int,
        precision: Precision,
    ) -> None:
        self.generator = generator
        self.critic = critic
        self.latent_size = latent_size
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.critic_steps = critic_steps
        self.precision: Precision = precision
        self.optimisers: dict[str, Optimizer] = {}

    def start(self) -> dict[str, Optimizer]:
        """Make fresh optimisers and return them; on a GPU, convolutions become channels_last."""
        for network in (self.generator, self.critic):
            if next(network.parameters()).is_cuda:
                network.to(memory_format=torch.channels_last)
        self.optimisers = {
            "generator": adam(self.generator, self.learning_rate, BETAS),
            "critic": adam(self.critic, self.learning_rate, BETAS),
        }
        return self.optimisers

    def step(self, real: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Move D, and every few steps G; return metrics as 0-d tensors.

        ``real`` ``[B, C, H, W]`` are the batch's images as they are to be shown.
        """
        bf16 = uses_bf16(real.device, self.precision)
        with torch.no_grad(), autocast(real.device, bf16):
            fake = self._generate(real, batch.generator).float()
        with autocast(real.device, bf16):
            critic_real, critic_fake = (self.critic(x).float().mean() for x in (real, fake))
        penalty = gradient_penalty(self.critic, real, fake, batch.generator).mean()
        loss_d = (
            critic_fake  # E[D(G(z))]: low on generated images
            - critic_real  # −E[D(x)]: high on real ones
            + self.penalty * penalty  # λ·E[(‖∇D(x̂)‖ − 1)²]
        )
        self._descend("critic", loss_d)
        metrics = {
            "loss_d": loss_d,
            "critic_real": critic_real,
            "critic_fake": critic_fake,
            "penalty": penalty,
        }
        if batch.step % self.critic_steps == self.critic_steps - 1:
            with frozen(self.critic):
                with autocast(real.device, bf16):
                    opinion = self.critic(self._generate(real, batch.generator)).float()
                metrics["loss_g"] = -opinion.mean()  # −E[D(G(z))]
                self._descend("generator", metrics["loss_g"])
        return detached(**metrics)

    def _generate(self, like: Tensor, random: Generator) -> Tensor:
        images: Tensor = self.generator(normal(len(like), self.latent_size, like, random))
        return images

    def _descend(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()


def runaway_warnings(metrics: Mapping[str, float], spec: ImageSpec) -> list[str]:
    """Return a sentence where a critic has run away, from means of the metrics of a step.

    A critic whose gradients have norm 1 cannot differ by more than 2√(C·H·W) between two images in
    [-1, 1], the diameter of that cube. The values themselves may drift: nothing holds them.
    """
    limit = 2 * math.sqrt(spec.channels * spec.height * spec.width)
    gap = metrics.get("critic_real", 0.0) - metrics.get("critic_fake", 0.0)
    if abs(gap) <= limit:
        return []
    text = (
        f"the critic runs away: its means on real and on generated images differ by {gap:.3g}, "
        f"more than the {limit:.3g} that gradients of norm 1 allow"
    )
    return [text]


def adam(network: nn.Module, learning_rate: float, betas: tuple[float, float]) -> Adam:
    """Return a fresh Adam over a network's parameters, fused where the device can."""
    parameters = list(network.parameters())
    fused = all(parameter.device.type in {"cpu", "cuda"} for parameter in parameters)
    return Adam(parameters, lr=learning_rate, betas=betas, fused=fused)


def normal(count: int, size: int, like: Tensor, random: Generator) -> Tensor:
    """Draw latents z ~ N(0, I), ``[count, size]``, on the device of ``like``."""
    return torch.randn((count, size), generator=random, device=like.device)


def detached(**metrics: Tensor) -> dict[str, Tensor]:
    """Return metrics without their graphs."""
    return {name: value.detach() for name, value in metrics.items()}
