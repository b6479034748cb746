"""Helpers for authors of backbones: layers, blends, penalties and precision. Imports torch."""

from anokit.nn.batch_norm import batch_norm_dependence, batch_statistics
from anokit.nn.ema import ExponentialMovingAverage
from anokit.nn.encoder_losses import needs_of_losses, weighted_losses
from anokit.nn.equalized import EqualizedConv2d, EqualizedLinear
from anokit.nn.field_scores import Detector, FieldScore, PatchScore, field_score
from anokit.nn.fields import FieldOptions, map_of_grid, read_field
from anokit.nn.filling import Source, fill
from anokit.nn.freezing import frozen
from anokit.nn.gradient_penalty import gradient_penalty
from anokit.nn.learning_rate import set_learning_rate
from anokit.nn.minibatch_stddev import MinibatchStddev, minibatch_stddev
from anokit.nn.patch_distances import combine_scales, patch_distances
from anokit.nn.pixel_norm import PixelNorm, pixel_norm
from anokit.nn.precision import Precision, autocast, tf32, to_double, uses_bf16
from anokit.nn.resampling import box_downscale, lerp, resize_map, upscale_nearest
from anokit.nn.rmsprop import tensorflow_rmsprop
from anokit.nn.room import available_bytes
from anokit.nn.search import FoundLatents, latent_search, residual_objective, settle
from anokit.nn.search_starts import SearchStarts
from anokit.nn.shapes import assert_shape, check_images, check_square
from anokit.nn.statistics import image_brightness, image_contrast, image_gradient

__all__ = [
    "Detector",
    "EqualizedConv2d",
    "EqualizedLinear",
    "ExponentialMovingAverage",
    "FieldOptions",
    "FieldScore",
    "FoundLatents",
    "MinibatchStddev",
    "PatchScore",
    "PixelNorm",
    "Precision",
    "SearchStarts",
    "Source",
    "assert_shape",
    "autocast",
    "available_bytes",
    "batch_norm_dependence",
    "batch_statistics",
    "box_downscale",
    "check_images",
    "check_square",
    "combine_scales",
    "field_score",
    "fill",
    "frozen",
    "gradient_penalty",
    "image_brightness",
    "image_contrast",
    "image_gradient",
    "latent_search",
    "lerp",
    "map_of_grid",
    "minibatch_stddev",
    "needs_of_losses",
    "patch_distances",
    "pixel_norm",
    "read_field",
    "residual_objective",
    "resize_map",
    "set_learning_rate",
    "settle",
    "tensorflow_rmsprop",
    "tf32",
    "to_double",
    "upscale_nearest",
    "uses_bf16",
    "weighted_losses",
]
