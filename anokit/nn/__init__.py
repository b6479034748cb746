"""Helpers for authors of backbones: layers, blends, penalties and precision. Imports torch."""

from anokit.nn.ema import ExponentialMovingAverage
from anokit.nn.equalized import EqualizedConv2d, EqualizedLinear
from anokit.nn.freezing import frozen
from anokit.nn.gradient_penalty import gradient_penalty
from anokit.nn.minibatch_stddev import MinibatchStddev, minibatch_stddev
from anokit.nn.pixel_norm import PixelNorm, pixel_norm
from anokit.nn.precision import autocast, tf32
from anokit.nn.resampling import box_downscale, lerp, upscale_nearest
from anokit.nn.shapes import assert_shape

__all__ = [
    "EqualizedConv2d",
    "EqualizedLinear",
    "ExponentialMovingAverage",
    "MinibatchStddev",
    "PixelNorm",
    "assert_shape",
    "autocast",
    "box_downscale",
    "frozen",
    "gradient_penalty",
    "lerp",
    "minibatch_stddev",
    "pixel_norm",
    "tf32",
    "upscale_nearest",
]
