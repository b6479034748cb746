"""A variational autoencoder: its evidence bound says how likely an image is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from anokit.nn import autocast, check_images, check_square, fill, uses_bf16
from anokit_autoencoders.gaussians import (
    drawn,
    gaussian_error,
    kl_to_standard,
    log_variance_of,
    mean_of,
    shifted,
)
from anokit_autoencoders.networks import SMALLEST, linear_pair
from anokit_autoencoders.training import Descent, one_phase, weighed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Generator, Tensor

    from anokit.nn import Source
    from anokit.types import Batch, ImageSpec, Phase, RoundTrip, WeightedLoss
    from anokit_autoencoders.plugin import VaeOptions

COLLAPSED = 0.1
"""KL in nats per image below which codes say nothing of their images."""


class VariationalAutoencoder(nn.Module):
    """Encoder q(z|x) = N(μ, σ_z²) and decoder p(x|z) = N(G(z), σ²) with σ² fixed, prior N(0, I).

    Minimises, per image and in nats, minus the evidence bound without its constant::

        ½ ‖x − G(z)‖² / σ² + β·KL(q(z|x) ‖ p(z)),    z = μ + σ_z·ε

    summed over pixels *and* over components of the latent, then averaged over images: a mean over
    pixels beside the full KL would make q(z|x) = p(z) the best answer.

    ``latent`` is μ and ``image_hat`` G(μ). ``reconstruction_error`` ``[B]`` is the first term, at μ
    or, with ``draws`` = L, its mean over L draws of z, whose ε are the same for every image, so
    that no score depends on the batch; ``kl_divergence`` ``[B]`` is the KL, and
    ``latent_log_variance`` ``[B, Z]`` log σ_z². All weights, then those ε, are drawn from torch's
    default generator on construction.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes" (2014).

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 16.
    """

    noises: Tensor
    """``[L, Z]``: ε of the draws at scoring"""

    def __init__(
        self,
        options: VaeOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        check_square(spec, "vae", SMALLEST)
        self.options = options
        self.spec = spec
        self.encoder, self.decoder = linear_pair(options, spec, 2 * options.latent_size)
        self.register_buffer("noises", torch.randn(options.draws, options.latent_size))
        self._descent = Descent(
            self.encoder,
            self.decoder,
            learning_rate=options.learning_rate,
            drop_at=options.learning_rate_drop,
            weight_decay=options.weight_decay,
        )

    def phases(self) -> Sequence[Phase]:
        """Return the one phase."""
        return one_phase(self.options, self._step, lambda: {"autoencoder": self._descent.start()})

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Encode, decode and encode again ``[B, C, H, W]``, just as far as ``needs`` asks.

        Raises
        ------
        DataError
            Where images are not those that the backbone was built for.
        """
        check_images(images, self.spec, "vae")

        def error_at_mean(image_hat: Tensor) -> Tensor:
            return gaussian_error(images, image_hat, self.options.variance)

        def error_of_draws(code: Tensor) -> Tensor:
            draws = (self.decoder(shifted(code, noise)) for noise in self.noises)
            return torch.stack([error_at_mean(image_hat) for image_hat in draws]).mean(dim=0)

        error = (error_of_draws, "code") if self.options.draws else (error_at_mean, "image_hat")
        sources: dict[str, Source] = {
            "code": (self.encoder, "image"),
            "latent": (mean_of, "code"),
            "latent_log_variance": (log_variance_of, "code"),
            "kl_divergence": (kl_to_standard, "code"),
            "image_hat": (self.decoder, "latent"),
            "reconstruction_error": error,
            "code_hat": (self.encoder, "image_hat"),
            "latent_hat": (mean_of, "code_hat"),
        }
        return fill({"image": images}, sources, needs)

    def samples(self, count: int, generator: Generator) -> Tensor:
        """Return ``[count, C, H, W]``: what draws of the prior decode to."""
        shape = (count, self.options.latent_size)
        return self.decoder(torch.randn(shape, generator=generator, device=generator.device))

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        """Return what looks wrong in the means of the step metrics since the last log."""
        kl = metrics.get("kl", COLLAPSED)
        if kl >= COLLAPSED:
            return []
        text = (
            f"the codes have collapsed to the prior (KL {kl:.2g} nats per image): they say nothing "
            "of the images; a smaller backbone.variance or backbone.beta helps"
        )
        return [text]

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images, options = batch.images, self.options
        mixed = uses_bf16(images.device, options.precision)
        with autocast(images.device, mixed):
            code = self.encoder(images).to(images.dtype)
            image_hat = self.decoder(drawn(code, batch.generator)).to(images.dtype)
        reconstruction = gaussian_error(images, image_hat, options.variance)
        kl = kl_to_standard(code)
        losses = reconstruction + options.beta * kl
        self._descent.step(weighed(batch, losses), batch.progress)
        metrics = {"loss": losses, "reconstruction": reconstruction, "kl": kl}
        return {name: value.detach().mean() for name, value in metrics.items()}
