"""Three statistics of an image that need no network: how bright, how contrasted, how busy it is."""

from __future__ import annotations

from torch import Tensor

__all__ = ["image_brightness", "image_contrast", "image_gradient"]


def image_brightness(images: Tensor) -> Tensor:
    """Return the mean of all values of each image: ``[B, C, H, W] -> [B]``, in the images' units.

    Like the other two statistics it is taken in float64 on the images' device, and that of an image
    does not depend on the others.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import image_brightness
    >>> image_brightness(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))
    tensor([0.5000], dtype=torch.float64)
    """
    return images.double().mean(dim=(1, 2, 3))


def image_contrast(images: Tensor) -> Tensor:
    """Return the standard deviation of all values of each image: ``[B, C, H, W] -> [B]``, ≥ 0.

    Over all pixels and channels together, about the image's own mean, divided by N (Peli 1990,
    "Contrast in complex images", equation 4: RMS contrast). In the images' units.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import image_contrast
    >>> image_contrast(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))
    tensor([0.5000], dtype=torch.float64)
    """
    return images.double().flatten(1).std(dim=1, correction=0)


def image_gradient(images: Tensor) -> Tensor:
    """Return the root mean square gradient of each image: ``[B, C, H, W] -> [B]``, ≥ 0.

    With differences of neighbours along x and y, √(mean of dx² + mean of dy²), the means over all
    places and channels. An image of one row or column has no differences that way, and they count
    as 0. In the images' units per pixel.

    Examples
    --------
    >>> import torch
    >>> from anokit.nn import image_gradient
    >>> image_gradient(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))
    tensor([1.], dtype=torch.float64)
    """
    values = images.double()
    squares = values.new_zeros(len(values))
    for dim in (2, 3):
        if values.shape[dim] > 1:
            squares = squares + values.diff(dim=dim).square().mean(dim=(1, 2, 3))
    return squares.sqrt()
