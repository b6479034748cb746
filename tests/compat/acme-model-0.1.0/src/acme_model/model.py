"""The backbone: an autoencoder with two convolutions each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from anokit import Batch, DataError, ImageSpec, Phase, RoundTrip, WeightedLoss

if TYPE_CHECKING:
    from acme_model.plugin import ModelOptions


class Model(nn.Module):
    """An encoder E and a decoder G, trained together to make x̂ = G(E(x)) equal to x.

    Raises
    ------
    DataError
        Where height or width is not a multiple of 4.
    """

    def __init__(
        self, options: ModelOptions, spec: ImageSpec, encoder_losses: Sequence[WeightedLoss]
    ) -> None:
        super().__init__()
        if spec.height % 4 or spec.width % 4:
            raise DataError(
                f"backbone 'model': expected height and width that are multiples of 4, "
                f"got {spec}; set [dataset] size"
            )
        self.options = options
        wide = options.width
        inner = (2 * wide, spec.height // 4, spec.width // 4)
        flat = inner[0] * inner[1] * inner[2]
        self.encoder = nn.Sequential(
            nn.Conv2d(spec.channels, wide, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, options.latent_size),
        )
        self.decoder = nn.Sequential(
            nn.Linear(options.latent_size, flat),
            nn.ReLU(),
            nn.Unflatten(1, inner),
            nn.ConvTranspose2d(2 * wide, wide, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(wide, spec.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def phases(self) -> Sequence[Phase]:
        """Return the one phase of training."""
        return [
            Phase(
                name="autoencoder",
                images=self.options.images,
                batch_size=self.options.batch_size,
                optimisers=self._start,
                step=self._step,
            )
        ]

    def round_trip(self, images: Tensor, needs: frozenset[str]) -> RoundTrip:
        """Fill ``needs`` for images ``[B, C, H, W]``; nothing else is computed."""
        latent = image_hat = latent_hat = None
        if needs & {"latent", "image_hat", "latent_hat"}:
            latent = self.encoder(images)
        if needs & {"image_hat", "latent_hat"}:
            image_hat = self.decoder(latent)
        if "latent_hat" in needs:
            latent_hat = self.encoder(image_hat)
        made = {"latent": latent, "image_hat": image_hat, "latent_hat": latent_hat}
        return RoundTrip(image=images, **{name: made[name] for name in made if name in needs})

    def _start(self) -> Mapping[str, torch.optim.Optimizer]:
        """Begin the phase with a fresh optimiser."""
        self.adam = torch.optim.Adam(self.parameters(), self.options.learning_rate)
        return {"adam": self.adam}

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        """Take one step of both networks."""
        error = (batch.images - self.decoder(self.encoder(batch.images))).square().mean()
        self.adam.zero_grad()
        error.backward()
        self.adam.step()
        return {"reconstruction": error.detach()}
