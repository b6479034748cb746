"""How a simulated frame looks: the microscope's light, blur and noise.

Numbers were measured on a real frame of muscle stem cells in a microwell (``MuSC.png``, 1104×1027,
8 bit, from the user guide of the Baxter Algorithms, MIT): median grey 141, 0.1 to 99.9 percentiles
106 to 171, slow change of the light 129 to 148; noise with a standard deviation of 1.1 to 1.3 grey
values whose neighbours correlate by 0.55, next but one by 0.15. Crops of 64×64 pixels round cells
have means of 135 to 146, standard deviations of 7 to 15, minima of 47 to 106 (the dark rim) and
maxima of 188 to 255 (granules); round specks 2 to 6; round blurred blobs 4 to 9.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Map = npt.NDArray[np.float32]

BACKGROUND = 141.0
LIGHT_CHANGE = 5.0
NOISE = 1.2
NOISE_BLUR = 0.7
"""Pixels; a Gaussian of this width makes white noise correlate as measured."""
LENS = 16.0
"""Grey values that a full soma gains by bundling light."""
RIM = 300.0
"""Grey values lost per unit of slope: steep edges throw light out of the aperture."""
HALO = 265.0
"""... and gained round them, where that light arrives."""
HALO_BLUR = 3.6
"""Pixels between an edge and its halo."""


def draw_light(shape: tuple[int, int], generator: np.random.Generator) -> Map:
    """Return the empty field's light ``[H, W]`` in grey values: a slope and a slow bow."""
    rows, columns = np.meshgrid(
        np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij"
    )
    across, along = generator.normal(0, 0.4, 2)
    bow = generator.uniform(0.2, 0.7)
    light = BACKGROUND + LIGHT_CHANGE * (
        along * rows + across * columns - bow * (rows**2 + columns**2)
    )
    return light.astype(np.float32)


def expose(
    light: Map, thickness: Map, grain: Map, shade: Map, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return a frame uint8 ``[H, W]``.

    Parameters
    ----------
    light
        the empty field, in grey values.
    thickness
        optical thickness of what lies in focus, 1 for a full soma: its slope makes dark rims and
        bright halos.
    grain
        fine texture, in grey values.
    shade
        what is out of focus, in grey values; it has no rim.
    generator
        of the noise.
    """
    soft = ndimage.gaussian_filter(thickness, 0.8, truncate=3)
    slope = np.hypot(*np.gradient(soft))
    halo = ndimage.gaussian_filter(slope, HALO_BLUR, truncate=3)
    picture = light + LENS * soft - RIM * slope + HALO * halo + grain + shade
    noise = ndimage.gaussian_filter(
        generator.standard_normal(light.shape, np.float32), NOISE_BLUR, truncate=4
    )
    picture += NOISE / NOISE_KEPT * noise
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _noise_kept() -> float:
    point = np.zeros((15, 15))
    point[7, 7] = 1
    return float(np.sqrt((ndimage.gaussian_filter(point, NOISE_BLUR, truncate=4) ** 2).sum()))


NOISE_KEPT = _noise_kept()
"""Standard deviation of white noise after `NOISE_BLUR`."""


DOT_REACH = 6


def dots(
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    widths: npt.NDArray[np.float64],
    greys: npt.NDArray[np.float64],
    side: int,
) -> npt.NDArray[np.float64]:
    """Draw K dots, each with a faint ring of the other sign, into ``[side, side]``.

    Parameters
    ----------
    rows, columns
        centres in pixels; dots whose square of 13 pixels leaves the picture are left out.
    widths
        standard deviations in pixels.
    greys
        grey values at the centres, about.
    side
        of the picture in pixels.
    """
    picture = np.zeros(side * side)
    within = (np.minimum(rows, columns) >= DOT_REACH) & (
        np.maximum(rows, columns) < side - DOT_REACH - 1
    )
    rows, columns, widths, greys = (a[within] for a in (rows, columns, widths, greys))
    offsets = np.arange(-DOT_REACH, DOT_REACH + 1)
    near_rows = np.rint(rows).astype(int)[:, None] + offsets
    near_columns = np.rint(columns).astype(int)[:, None] + offsets
    square = (near_rows - rows[:, None])[:, :, None] ** 2 + (near_columns - columns[:, None])[
        :, None, :
    ] ** 2
    square = square / (2 * widths**2)[:, None, None]
    values = greys[:, None, None] * (np.exp(-square) - 0.3 * np.exp(-square / 4))
    np.add.at(picture, near_rows[:, :, None] * side + near_columns[:, None, :], values)
    return picture.reshape(side, side)
