"""A convolutional autoencoder: images that it has not learnt come back changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from anokit.nn import autocast, check_images, check_square, fill, uses_bf16
from anokit_autoencoders.networks import SMALLEST, published_pair
from anokit_autoencoders.training import Descent, one_phase, weighed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from anokit.nn import Source
    from anokit.types import Batch, ImageSpec, Phase, RoundTrip, WeightedLoss
    from anokit_autoencoders.plugin import AeOptions


class Autoencoder(nn.Module):
    """Encoder E and decoder G, which minimise mean (x − G(E(x)))² over pixels, then over images.

    The score is the same mean over pixels (``residual``). Batch norm has running statistics at
    scoring. All weights are drawn from torch's default generator on construction.

    Source: the convolutional autoencoders that Golan and El-Yaniv (2018) and Ruff et al., Deep SVDD
    (2018), compare with, in the form of their released codes.

    Raises
    ------
    DataError
        Where images are not square with a side that is a power of two of at least 16.
    """

    def __init__(
        self,
        options: AeOptions,
        spec: ImageSpec,
        encoder_losses: Sequence[WeightedLoss] = (),
    ) -> None:
        super().__init__()
        check_square(spec, "ae", SMALLEST)
        self.options = options
        self.spec = spec
        self.encoder, self.decoder = published_pair(options, spec)
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
        check_images(images, self.spec, "ae")
        sources: dict[str, Source] = {
            "latent": (self.encoder, "image"),
            "image_hat": (self.decoder, "latent"),
            "latent_hat": (self.encoder, "image_hat"),
        }
        return fill({"image": images}, sources, needs)

    def _step(self, batch: Batch) -> Mapping[str, Tensor]:
        images = batch.images
        with autocast(images.device, uses_bf16(images.device, self.options.precision)):
            image_hat = self.decoder(self.encoder(images)).to(images.dtype)
        losses = (images - image_hat).square().flatten(1).mean(dim=1)
        self._descent.step(weighed(batch, losses), batch.progress)
        return {"reconstruction": losses.detach().mean()}
