"""One training step of the three networks: the losses, and whom each of them moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Generator as RandomSource
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from anokit.nn import (
    ExponentialMovingAverage,
    autocast,
    box_downscale,
    frozen,
    gradient_penalty,
    lerp,
    needs_of_losses,
    tf32,
    upscale_nearest,
    uses_bf16,
    weighted_losses,
)
from anokit.types import Batch, RoundTrip, WeightedLoss
from anokit_pgan.plugin import PganOptions
from anokit_pgan.trips import Networks, trip_from_image, trip_from_latent

__all__ = ["Steps", "blend_with_coarser"]

BETAS = (0.0, 0.99)
EPS = 1e-8


class Steps:
    """The optimisers of one phase and the step that uses them.

    Parameters
    ----------
    average
        The generator's moving average.
    options
        Of the backbone.
    losses
        Encoder losses with their weights.
    size
        Side of the images at full resolution, in pixels.
    """

    def __init__(
        self,
        average: ExponentialMovingAverage,
        options: PganOptions,
        losses: Sequence[WeightedLoss],
        size: int,
    ) -> None:
        self.average = average
        self.options = options
        self.losses = list(losses)
        self.size = size
        self.optimisers: dict[str, Optimizer] = {}

    def renew_optimisers(self, networks: Networks) -> Mapping[str, Optimizer]:
        """Make a fresh Adam for each loss and drop the old ones, which resets their moments."""
        generator = networks.generator.parameters()
        self.optimisers = {"discriminator": self._adam(networks.discriminator.parameters())}
        if networks.encoder is None:
            self.optimisers["generator"] = self._adam(generator)
        elif self.options.encoder_update == "joint":
            encoder = networks.encoder.parameters()
            self.optimisers["generator_encoder"] = self._adam([*generator, *encoder])
        else:
            self.optimisers["generator"] = self._adam(generator)
            self.optimisers["encoder"] = self._adam(networks.encoder.parameters())
        return self.optimisers

    def step(self, networks: Networks, batch: Batch, done: int) -> dict[str, Tensor]:
        """Move critic, average, generator and encoder once; return metrics as 0-d tensors.

        ``done`` is the number of steps made before this one in all phases.
        """
        real = blend_with_coarser(batch.images, networks.fade)
        with tf32(self.options.tf32):
            metrics = self._critic_step(networks, real, batch.generator)
            self.average.update(networks.generator, self._decay(done))
            if "generator_encoder" in self.optimisers:
                metrics |= self._joint_step(networks, real, batch.generator)
            else:
                metrics |= self._generator_step(networks, real, batch.generator)
            if "encoder" in self.optimisers:
                metrics |= self._encoder_step(networks, real, batch.generator)
        return metrics | {"fade": real.new_full((), networks.fade)}

    def _critic_step(
        self, networks: Networks, real: Tensor, random: RandomSource
    ) -> dict[str, Tensor]:
        options = self.options
        with torch.no_grad(), self._autocast(real):
            fake = networks.generate(self._latents(real, random)).float()
        with self._autocast(real):
            critic_real = networks.criticise(real).float()
            critic_fake = networks.criticise(fake).float()
        # The authors take the slope at images of full size, upscaled by nearest neighbours: at r of
        # S pixels a side it is r/S of the slope that is taken here.
        target = options.wgan_target * self.size / real.shape[-1]
        penalty = gradient_penalty(networks.criticise, real, fake, random, target)
        loss = (
            critic_fake.mean()  # E[D(G(z))]: low on generated images
            - critic_real.mean()  # −E[D(x)]: high on real ones
            + options.gradient_penalty * penalty.mean()  # λ·E[(‖∇D(x̂)‖ − t)²]/t², t grown by S/r
            + options.drift * critic_real.square().mean()  # ε·E[D(x)²]: keeps D near zero
        )
        self._descend("discriminator", loss)
        return _detached(
            critic_real=critic_real.mean(),
            critic_fake=critic_fake.mean(),
            penalty=penalty.mean(),
            loss_d=loss,
        )

    def _joint_step(
        self, networks: Networks, real: Tensor, random: RandomSource
    ) -> dict[str, Tensor]:
        """Move G and E by equation 1 of Berg et al.: every occurrence of G gets its gradient."""
        z = self._latents(real, random)
        with frozen(networks.discriminator):
            with self._autocast(real):
                trip = trip_from_latent(
                    networks, z, needs_of_losses(self.losses, "latent") | {"critic"}
                )
            terms, metrics = self._encoder_losses(networks, real, trip)
            adversarial = -trip.critic.mean()  # −E[D(G(z))]
            self._descend("generator_encoder", adversarial + terms)  # + Σ w·d
        return _detached(loss_g=adversarial, **metrics)

    def _generator_step(
        self, networks: Networks, real: Tensor, random: RandomSource
    ) -> dict[str, Tensor]:
        z = self._latents(real, random)
        with frozen(networks.discriminator):
            with self._autocast(real):
                opinion = networks.criticise(networks.generate(z)).float()
            loss = -opinion.mean()  # −E[D(G(z))]
            self._descend("generator", loss)
        return _detached(loss_g=loss)

    def _encoder_step(
        self, networks: Networks, real: Tensor, random: RandomSource
    ) -> dict[str, Tensor]:
        """Move E alone, as the authors' code does; gradients pass through G but do not move it."""
        with frozen(networks.generator, networks.discriminator):
            trip = RoundTrip()
            if needs := needs_of_losses(self.losses, "latent"):
                z = self._latents(real, random)
                with self._autocast(real):
                    trip = trip_from_latent(networks, z, needs)
            terms, metrics = self._encoder_losses(networks, real, trip)
            self._descend("encoder", terms)  # Σ w·d
        return _detached(**metrics)

    def _encoder_losses(
        self, networks: Networks, real: Tensor, from_latent: RoundTrip
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return Σ w·loss, and each loss without its weight by name."""
        trips = {"latent": from_latent}
        if needs := needs_of_losses(self.losses, "image"):
            with self._autocast(real):
                trips["image"] = trip_from_image(networks, real, needs)
        return weighted_losses(self.losses, trips)

    def _decay(self, done: int) -> float:
        """Return the average's decay: its span grows with the steps done, up to the option's."""
        span = max(1.0, self.options.ema_rampup * done)
        return min(self.options.ema, 1 - 1 / span)

    def _latents(self, real: Tensor, random: RandomSource) -> Tensor:
        """Draw as many latents as there are images, ``[B, Z]``."""
        shape = (len(real), self.options.latent_size)
        return self.options.latent_scale * torch.randn(shape, generator=random, device=real.device)

    def _autocast(self, like: Tensor) -> torch.autocast:
        return autocast(like.device, uses_bf16(like.device, self.options.precision))

    def _adam(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        chosen = list(parameters)
        fused = chosen[0].device.type in {"cuda", "cpu"}
        return Adam(chosen, lr=self.options.learning_rate, betas=BETAS, eps=EPS, fused=fused)

    def _descend(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        # Back to None, not to zero: Adam then skips blocks that this phase does not use.
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()


def blend_with_coarser(images: Tensor, fade: float) -> Tensor:
    """Return x̄ + fade·(x − x̄), x̄ the images at half their resolution, ``[B, C, r, r]`` both.

    While a block is being faded in, real images are faded as the generated ones are.
    """
    if fade >= 1:
        return images
    return lerp(upscale_nearest(box_downscale(images)), images, fade)


def _detached(**metrics: Tensor) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in metrics.items()}
