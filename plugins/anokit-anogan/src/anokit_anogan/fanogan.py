"""f-AnoGAN: a Wasserstein GAN, then an encoder into the latents of its frozen generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.errors import RecipeError
from anokit.nn import (
    autocast,
    check_images,
    check_square,
    fill,
    frozen,
    needs_of_losses,
    tensorflow_rmsprop,
    uses_bf16,
    weighted_losses,
)
from anokit.types import Phase, RoundTrip
from anokit_anogan.residual_networks import Critic, ResidualEncoder, ResidualGenerator
from anokit_anogan.trips import opinions
from anokit_anogan.wasserstein import (
    WassersteinGAN,
    detached,
    normal,
    runaway_warnings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.nn import Source
    from anokit.types import Batch, ImageSpec, WeightedLoss
    from anokit_anogan.plugin import FAnoGANOptions


class FAnoGAN(nn.Module):
    """Generator G, critic D with features f, encoder E, trained in two phases.

    The first trains G and D, several steps of D for each of G; the second trains E by the recipe's
    encoder losses, with G and D frozen and in evaluation mode.
    All weights are drawn from torch's default generator on construction.

    Source: Schlegl et al., f-AnoGAN (2019), in the form of its released code.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 32.
    RecipeError
        Where no encoder loss is given.
    """

    def __init__(
        self, options: FAnoGANOptions, spec: ImageSpec, encoder_losses: Sequence[WeightedLoss]
    ) -> None:
        super().__init__()
        size = check_square(spec, "f-anogan", 32)
        if not encoder_losses:
            raise RecipeError(
                "backbone 'f-anogan' trains its encoder with encoder losses: expected at least "
                'one, got none. Add [[encoder-losses]] with use = "izi-f"'
            )
        self.options = options
        self.spec = spec
        self.losses = list(encoder_losses)
        latent, width = options.latent_size, options.width
        self.generator = ResidualGenerator(spec.channels, size, latent, width)
        self.critic = Critic(spec.channels, size, width)
        self.encoder = ResidualEncoder(spec.channels, size, latent, width, options.encoder_output)
        self._gan = WassersteinGAN(
            self.generator,
            self.critic,
            latent_size=latent,
            learning_rate=options.learning_rate,
            penalty=options.gradient_penalty,
            critic_steps=options.critic_steps,
            precision=options.precision,
        )

    def phases(self) -> Sequence[Phase]:
        """Return the GAN's phase and the encoder's."""
        options = self.options
        return [
            Phase(
                name="gan",
                step=self._gan_step,
                optimisers=self._gan.start,
                batch_size=options.batch_size,
                images=options.images,
                epochs=options.epochs if options.images is None else None,
            ),
            Phase(
                name="encoder",
                step=self._encoder_step,
                optimisers=self._start_encoder,
                batch_size=options.batch_size,
                images=options.encoder_steps * options.batch_size,
            ),
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Fill ``needs`` for images ``[B, C, H, W]``: x, ẑ = E(x), x̂ = G(ẑ), E(x̂).

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "f-anogan")
        return fill({"image": images}, self._from_image(), needs)

    def samples(self, count: int, generator: Generator) -> Tensor:
        """Return ``[count, C, H, W]`` images of G, comparable over time."""
        shape = (count, self.options.latent_size)
        return self.generator(torch.randn(shape, generator=generator, device=generator.device))

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        return runaway_warnings(metrics, self.spec)

    def _gan_step(self, batch: Batch) -> Mapping[str, Tensor]:
        return self._gan.step(self._prepared(batch), batch)

    def _start_encoder(self) -> Mapping[str, Optimizer]:
        if next(self.encoder.parameters()).is_cuda:
            self.encoder.to(memory_format=torch.channels_last)
        self._rmsprop = tensorflow_rmsprop(self.encoder, self.options.encoder_learning_rate)
        return {"encoder": self._rmsprop}

    def _encoder_step(self, batch: Batch) -> Mapping[str, Tensor]:
        # In every step: whoever puts the whole backbone in training mode does not ask the phase.
        self.generator.eval()
        self.critic.eval()
        images = self._prepared(batch)
        trips = {}
        with frozen(self.generator, self.critic):
            for start in ("latent", "image"):
                if needs := needs_of_losses(self.losses, start):
                    with autocast(images.device, uses_bf16(images.device, self.options.precision)):
                        trips[start] = self._training_trip(start, images, needs, batch.generator)
            total, metrics = weighted_losses(self.losses, trips)
            self._rmsprop.zero_grad()
            torch.autograd.backward(total)
            self._rmsprop.step()
        return detached(**metrics)

    def _training_trip(
        self, start: str, images: Tensor, needs: frozenset[str], random: Generator
    ) -> RoundTrip:
        if start == "image":
            return fill({"image": images}, self._from_image(), needs)
        z = normal(len(images), self.options.latent_size, images, random)
        return fill({"latent": z}, self._from_latent(), needs)

    def _from_image(self) -> dict[str, Source]:
        """Return how the fields of a trip from an image are computed."""
        return {
            "latent": (self.encoder, "image"),
            "image_hat": (self.generator, "latent"),
            "latent_hat": (self.encoder, "image_hat"),
            **opinions(self.critic.features, self.critic.judge),
        }

    def _from_latent(self) -> dict[str, Source]:
        """Return how the fields of a trip from a latent are computed."""
        return {
            "image": (self.generator, "latent"),
            "latent_hat": (self.encoder, "image"),
            "image_hat": (self.generator, "latent_hat"),
            **opinions(self.critic.features, self.critic.judge),
        }

    def _prepared(self, batch: Batch) -> Tensor:
        """Return the batch's images, a random half of them mirrored where that is asked for."""
        images = batch.images
        if self.options.flip:
            mirror = torch.rand(len(images), generator=batch.generator, device=images.device) < 0.5
            images = torch.where(mirror.view(-1, 1, 1, 1), images.flip(-1), images)
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
        return images
