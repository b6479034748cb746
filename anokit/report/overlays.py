"""Maps painted over photographs. Matplotlib is imported where one is."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from anokit.errors import DataError
from anokit.report.heat import Heat, HeatScale

__all__ = ["check_heat", "check_scale", "paint", "ramp"]

Levels = npt.NDArray[np.float32]

STRONGEST = 0.62
"""Share of the colour where a map is at its highest; the rest is the photograph."""

Rectangle = tuple[int, int, int, int]


def paint(original: Image.Image, heat: Heat, scale: HeatScale) -> Image.Image:
    """Paint a map over a photograph, with a thin line where it crosses the threshold.

    Colour and opacity grow from nothing at ``scale.low`` to their strongest at ``scale.high``,
    whatever the other values of the map are. The map is enlarged smoothly (bicubic, within the
    range of its values), and lies where ``heat.box`` says.

    Parameters
    ----------
    original
        RGB, upright: `anokit.report.originals.read_original`

    Returns
    -------
    PIL.Image.Image
        RGB, of the size of ``original``.

    Raises
    ------
    DataError
        Where a value of map or scale is not finite, or ``high`` is below ``low``.
    """
    check_heat(heat)
    check_scale(scale)
    picture = original.copy()
    place, share = _place(heat, picture.size)
    if place[0] >= place[2] or place[1] >= place[3]:
        return picture
    values = _enlarged(heat.values, share, (place[2] - place[0], place[3] - place[1]))
    pixels = np.asarray(picture.crop(place), np.float32)
    mixed = Image.fromarray(_mixed(pixels, _levels(values, scale)))
    line = _contour(values, scale.threshold, max(picture.size))
    if line is not None:
        mixed.paste(line, mask=line.getchannel("A"))
    picture.paste(mixed, place[:2])
    return picture


def check_heat(heat: Heat, name: str = "") -> None:
    """Raise `DataError` where a map has no place or no values, or one that is not finite."""
    where = f"{name}: " if name else ""
    values = heat.values
    if values.ndim != 2 or not values.size:
        raise DataError(f"{where}expected a map [H, W] with values, got {list(values.shape)}")
    left, top, right, bottom = heat.box
    if not (left < right and top < bottom and min(heat.size) > 0):
        raise DataError(f"{where}a map lies on {heat.box} of {heat.size}, where nothing can lie")
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise DataError(
            f"{where}{wrong:,} of {values.size:,} values of the map are not finite, so it cannot "
            "be painted; check the score and the weights that made it"
        )


def check_scale(scale: HeatScale) -> None:
    """Raise `DataError` where the values of a scale are not finite or the wrong way round."""
    if not (math.isfinite(scale.low) and math.isfinite(scale.high)) or scale.high < scale.low:
        raise DataError(
            f"a scale of colours needs finite values, low not above high; got low {scale.low:g} "
            f"and high {scale.high:g}"
        )


def ramp(steps: int = 9) -> Sequence[str]:
    """Return the colours of maps from low to high, as CSS has them, with their opacity."""
    table = _colours(np.linspace(0, 1, steps, dtype=np.float32))
    alphas = _opacity(np.linspace(0, 1, steps, dtype=np.float32))
    return [
        f"rgb({r:.0f} {g:.0f} {b:.0f} / {a:.2f})"
        for (r, g, b), a in zip(table, alphas, strict=True)
    ]


def _levels(values: Levels, scale: HeatScale) -> Levels:
    if scale.high == scale.low:
        return (values > scale.low).astype(np.float32)
    return np.clip((values - scale.low) / (scale.high - scale.low), 0, 1).astype(np.float32)


def _opacity(levels: Levels) -> Levels:
    return STRONGEST * np.minimum(1.0, 1.6 * levels).astype(np.float32)


def _colours(levels: Levels) -> Levels:
    """Return colours ``[..., 3]`` in [0, 255] of levels in [0, 1]."""
    from matplotlib import colormaps

    return 255 * colormaps["plasma"](0.25 + 0.75 * levels)[..., :3].astype(np.float32)


def _mixed(pixels: Levels, levels: Levels) -> npt.NDArray[np.uint8]:
    opacity = _opacity(levels)[..., None]
    return np.rint(pixels + opacity * (_colours(levels) - pixels)).astype(np.uint8)


def _place(
    heat: Heat, size: tuple[int, int]
) -> tuple[Rectangle, tuple[float, float, float, float]]:
    """Return which pixels of a picture a map lies on, and the part of the map that lies there."""
    place, share = [], []
    for axis in (0, 1):
        start, end = heat.box[axis], heat.box[axis + 2]
        to_pixels = size[axis] / heat.size[axis]
        first = min(max(0, round(start * to_pixels)), size[axis])
        last = min(max(0, round(end * to_pixels)), size[axis])
        count = heat.values.shape[1 - axis]
        to_values = count / (end - start)
        place.append((first, last))
        share.append(
            [
                min(max(0.0, (at / to_pixels - start) * to_values), float(count))
                for at in (first, last)
            ]
        )
    (left, right), (top, bottom) = place
    return (left, top, right, bottom), (share[0][0], share[1][0], share[0][1], share[1][1])


def _enlarged(
    values: Levels, share: tuple[float, float, float, float], size: tuple[int, int]
) -> Levels:
    """Return part of a map at a picture's size; shrinking averages."""
    image = Image.fromarray(values.astype(np.float32))
    resized = np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=share))
    return np.clip(resized, values.min(), values.max())


def _contour(values: Levels, threshold: float, longest: int) -> Image.Image | None:
    """Return the threshold's line as RGBA, dark with a light core; None where it is not crossed."""
    if not values.min() < threshold < values.max() or min(values.shape) < 2:
        return None
    from matplotlib import patheffects
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = values.shape
    # 72 dots per inch: one point is one pixel; a little more, since parts of pixels are cut off.
    size = ((width + 0.01) / 72, (height + 0.01) / 72)
    figure = Figure(figsize=size, dpi=72, facecolor="none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    thickness = max(1.5, longest / 450)
    style: dict[str, Any] = {"colors": "white", "linewidths": thickness, "antialiased": True}
    lines = axes.contour(values, levels=[threshold], **style)
    casing = patheffects.withStroke(linewidth=2.2 * thickness, foreground=(0, 0, 0, 0.65))
    lines.set_path_effects([casing])
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's types do not tell what these return
    canvas.draw()
    return Image.fromarray(np.array(canvas.buffer_rgba()))
