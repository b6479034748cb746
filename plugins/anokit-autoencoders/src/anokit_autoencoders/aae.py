"""An adversarial autoencoder: its codes are made to look like draws of a prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anokit.nn import autocast, check_images, check_square, fill, uses_bf16
from anokit_autoencoders.networks import SMALLEST, linear_pair
from anokit_autoencoders.training import Descent, one_phase, weighed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from anokit.nn import Source
    from anokit.types import Batch, ImageSpec, Phase, RoundTrip, WeightedLoss
    from anokit_autoencoders.plugin import AaeOptions


class AdversarialAutoencoder(nn.Module):
    """Encoder E, decoder G, and a discriminator D that tells codes from draws of N(0, I).

    Every batch makes three steps, each with an optimiser of its own; BCE is on D's output::

        E, G:  mean (x − G(E(x)))²                       over pixels, then over images
        D:     BCE(D(z), 1) + BCE(D(E(x)), 0)            z ~ N(0, I)
        E:     BCE(D(E(x)), 1)

    Where a recipe lets suspects count as anomalies, they do so in the first. ``critic`` is D's
    probability that the code of an image is a draw of the prior. All weights are drawn from torch's
    default generator on construction.

    Source: Makhzani et al., "Adversarial Autoencoders" (2015).

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 16.
    """

    def __init__(
        self,
        options: AaeOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        check_square(spec, "aae", SMALLEST)
        self.options = options
        self.spec = spec
        self.encoder, self.decoder = linear_pair(options, spec, options.latent_size)
        self.discriminator = latent_discriminator(options.latent_size, options.critic_width)
        drop_at, adversarial = options.learning_rate_drop, options.adversarial_learning_rate
        self._reconstructing = Descent(
            self.encoder,
            self.decoder,
            learning_rate=options.learning_rate,
            drop_at=drop_at,
            weight_decay=options.weight_decay,
        )
        self._telling = Descent(self.discriminator, learning_rate=adversarial, drop_at=drop_at)
        self._hiding = Descent(self.encoder, learning_rate=adversarial, drop_at=drop_at)

    def phases(self) -> Sequence[Phase]:
        """Return the one phase, each step of which makes three."""
        return one_phase(self.options, self._step, self._optimisers)

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Encode, decode, encode again and judge ``[B, C, H, W]``, just as ``needs`` asks.

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "aae")
        sources: dict[str, Source] = {
            "latent": (self.encoder, "image"),
            "image_hat": (self.decoder, "latent"),
            "latent_hat": (self.encoder, "image_hat"),
            "critic": (self._probability, "latent"),
            "critic_hat": (self._probability, "latent_hat"),
        }
        return fill({"image": images}, sources, needs)

    def samples(self, count: int, generator: Generator) -> Tensor:
        """Return ``[count, C, H, W]``: what draws of the prior decode to."""
        shape = (count, self.options.latent_size)
        return self.decoder(torch.randn(shape, generator=generator, device=generator.device))

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        prior, code = metrics.get("critic_prior", 0.5), metrics.get("critic_code", 0.5)
        if prior < 0.99 or code > 0.01:
            return []
        text = (
            "the discriminator tells codes from draws of the prior without fail "
            f"({code:.3f} against {prior:.3f}): the length of a code is no likelihood then"
        )
        return [text]

    def _optimisers(self) -> Mapping[str, Optimizer]:
        return {
            "autoencoder": self._reconstructing.start(),
            "discriminator": self._telling.start(),
            "encoder": self._hiding.start(),
        }

    def _probability(self, latent: Tensor) -> Tensor:
        return self.discriminator(latent).sigmoid()

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images
        mixed = uses_bf16(images.device, self.options.precision)

        # Encoder and decoder want images to come back.
        with autocast(images.device, mixed):
            image_hat = self.decoder(self.encoder(images)).to(images.dtype)
        losses = (images - image_hat).square().flatten(1).mean(dim=1)
        self._reconstructing.step(weighed(batch, losses), batch.progress)

        # The discriminator wants to tell the new codes from draws of the prior.
        with autocast(images.device, mixed):
            latent = self.encoder(images).to(images.dtype)
        prior = torch.empty_like(latent).normal_(generator=batch.generator)
        of_prior, of_code = self.discriminator(prior), self.discriminator(latent.detach())
        loss_d = cross_entropy(of_prior, real=True) + cross_entropy(of_code, real=False)
        self._telling.step(loss_d, batch.progress)

        # The encoder wants the changed discriminator to take them for such draws.
        loss_e = cross_entropy(self.discriminator(latent), real=True)
        self._hiding.step(loss_e, batch.progress)

        metrics = {
            "reconstruction": losses,
            "loss_d": loss_d,
            "loss_e": loss_e,
            "critic_prior": of_prior.sigmoid(),
            "critic_code": of_code.sigmoid(),
        }
        return {name: value.detach().mean() for name, value in metrics.items()}


def latent_discriminator(latent_size: int, width: int) -> nn.Sequential:
    """Return ``[B, Z] -> [B]``, logits: two hidden layers with ReLU, as Makhzani et al. have it."""
    return nn.Sequential(
        nn.Linear(latent_size, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 1),
        nn.Flatten(0),
    )


def cross_entropy(logits: Tensor, real: bool) -> Tensor:
    """Return the mean binary cross-entropy of ``logits`` ``[B]`` with all real or all fake."""
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
