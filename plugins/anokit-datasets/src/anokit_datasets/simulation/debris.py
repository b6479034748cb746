"""Simulated debris: bubbles, specks, blurred blobs and the remains of dead cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from anokit_datasets.simulation.optics import Map, dots

Kind = Literal["bubble", "speck", "blob", "cluster", "grit", "remains"]
KINDS: tuple[Kind, ...] = ("bubble", "speck", "blob", "cluster", "grit")
SHARES = (0.13, 0.28, 0.2, 0.18, 0.21)

REACH = 48


@dataclass
class Debris:
    """One piece of debris and its track; lengths in pixels."""

    track: int
    kind: Kind
    row: float
    column: float
    generator: np.random.Generator
    start: int = 0
    lifetime: int = 1_000_000
    """frames until it has drifted out of focus or been washed away"""
    size: float = 0.0
    strength: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    parts: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """what clusters, grit and remains consist of ``[K, 4]``: row, column, width, grey values"""

    def __post_init__(self) -> None:
        g = self.generator
        self.drift = (g.normal(0, 0.25), g.normal(0, 0.25))
        low, high = {
            "bubble": (6.0, 17.0),
            "speck": (2.2, 4.6),
            "blob": (5.0, 13.0),
            "cluster": (4.0, 8.0),
            "grit": (2.5, 6.0),
            "remains": (5.0, 7.5),
        }[self.kind]
        self.size = g.uniform(low, high)
        self.strength = g.uniform(0.6, 1.4)
        count = {"cluster": 12, "grit": 5, "remains": 22}.get(self.kind, 0)
        grey = {"cluster": (7, 11), "grit": (-24, 34), "remains": (4, 40)}.get(self.kind, (0, 1))
        self.parts = np.column_stack(
            [
                g.normal(0, self.size / 2, count),
                g.normal(0, self.size / (4 if self.kind == "grit" else 2), count),
                g.uniform(0.9, 1.5, count),
                g.normal(*grey, count),
            ]
        )
        turn = g.uniform(0, np.pi)
        row, column = self.parts[:, 0].copy(), self.parts[:, 1].copy()
        self.parts[:, 0] = row * np.cos(turn) - column * np.sin(turn)
        self.parts[:, 1] = row * np.sin(turn) + column * np.cos(turn)

    def move(self) -> None:
        """Go one frame ahead: a slow drift and Brownian motion, blobs further out of focus."""
        g = self.generator
        self.row += self.drift[0] + g.normal(0, 0.3)
        self.column += self.drift[1] + g.normal(0, 0.3)
        self.strength = float(np.clip(self.strength + g.normal(0, 0.05), 0.45, 1.6))
        if self.kind == "blob":
            self.size = float(np.clip(self.size + g.normal(0, 0.25), 4.5, 14))
        self.parts[:, :2] += g.normal(0, 0.08, (len(self.parts), 2))

    def draw(self) -> tuple[Map, Map, npt.NDArray[np.bool_]]:
        """Return grain, shade and outline, each ``[2·REACH, 2·REACH]``, debris in the middle."""
        rows = np.arange(2 * REACH) - REACH - (self.row - np.floor(self.row))
        columns = np.arange(2 * REACH) - REACH - (self.column - np.floor(self.column))
        down, right = np.meshgrid(rows, columns, indexing="ij")
        distance = np.hypot(down, right)
        grain = np.zeros_like(distance)
        shade = np.zeros_like(distance)
        extent = self.size
        if self.kind == "blob":
            shade = -22 * self.strength * np.exp(-(distance**2) / (2 * self.size**2))
            shade += 5 * self.strength * ring(distance, 2.4 * self.size, 0.5 * self.size)
            extent = 1.6 * self.size
        elif self.kind == "bubble":
            grain = -34 * self.strength * ring(distance, self.size, 1.2)
            grain += 12 * self.strength * ring(distance, self.size - 3.2, 1.3)
            grain += 8 * self.strength * ring(distance, self.size + 3.2, 1.5)
            extent = self.size + 2
        elif self.kind == "speck":
            grain = 40 * self.strength * np.exp(-(distance**2) / (2 * (0.42 * self.size) ** 2))
            grain -= 26 * self.strength * ring(distance, 1.15 * self.size, 0.9)
            grain += 4 * self.strength * ring(distance, 1.9 * self.size, 1.2)
            extent = 1.5 * self.size
        else:
            row, column, width, grey = self.parts.T
            grain = dots(
                REACH + self.row % 1 + row,
                REACH + self.column % 1 + column,
                width,
                grey * self.strength,
                2 * REACH,
            )
            if self.kind == "remains":
                grain -= 30 * ring(distance, 1.25 * self.size, 1.5)
                grain += 7 * ring(distance, 1.25 * self.size + 3.5, 1.6)
            extent = 1.4 * self.size
        return grain.astype(np.float32), shade.astype(np.float32), distance <= extent


def ring(distance: npt.NDArray[np.float64], radius: float, width: float) -> npt.NDArray[np.float64]:
    """Return a soft circle line, 1 at its crest, from distances to its centre in pixels."""
    return np.exp(-((distance - radius) ** 2) / (2 * width**2))
