"""Simulated muscle stem cells: they crawl, round up, divide and die."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from anokit_datasets.simulation.optics import Map, dots

Phase = Literal["crawling", "rounding", "young", "dying"]

REACH = 48
"""Half the side in pixels of the square a cell is drawn in; the longest tail ends within."""
OUTLINE = 0.06
"""Thickness above which a pixel belongs to the labelled cell."""
DYING_FRAMES = 5
GRAINS = 80
GRAIN_GREY = (10.0, 36.0)
"""Mean and standard deviation of a granule's grey values."""


@dataclass
class Cell:
    """One cell track and its present state; lengths in pixels, angles in radians."""

    track: int
    row: float
    column: float
    heading: float
    generator: np.random.Generator
    start: int = 0
    parent: int = 0
    phase: Phase = "crawling"
    age: int = 0
    """frames in this phase"""
    frames_to_division: int = 0
    dies: bool = False
    speed: float = 0.0
    front: float = 0.0
    """half-length of the soma before its centre"""
    width: float = 0.0
    """half-width of the soma"""
    tail: float = 0.0
    """length of the trailing lamella"""
    spikes: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    """protrusions ``[K, 3]``: angle to the heading, length, sharpness"""
    grains: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """granules ``[K, 4]``: radius and angle in the soma, grey values, width"""
    brightness: float = 1.0
    density: float = 1.0
    """optical thickness of the soma"""
    lean: float = 0.0
    """how much thicker the soma is in front than in its middle, as a share"""
    softness: float = 6.0
    """pixels over which the lamella's edge thins out"""

    def __post_init__(self) -> None:
        g = self.generator
        self.speed = g.gamma(3.0, 0.9)
        self.front = g.uniform(9.5, 13.5)
        self.width = g.uniform(9.0, 13.0)
        self.tail = g.uniform(6.0, 22.0)
        self.brightness = g.uniform(0.6, 1.3)
        self.density = g.uniform(0.65, 1.2)
        self.lean = g.uniform(0.1, 0.6)
        self.softness = g.uniform(6.0, 13.0)
        count = int(g.integers(1, 5))
        self.spikes = np.column_stack(
            [g.uniform(-np.pi, np.pi, count), g.uniform(5, 18, count), g.uniform(15, 60, count)]
        )
        self.grains = np.column_stack(
            [
                np.sqrt(g.uniform(0, 0.9, GRAINS)),
                g.uniform(-np.pi, np.pi, GRAINS),
                g.normal(*GRAIN_GREY, GRAINS),
                g.uniform(0.8, 1.9, GRAINS),
            ]
        )

    @property
    def roundness(self) -> float:
        """0 for a spread cell, 1 for a ball: before a division, just after it, and in death."""
        if self.phase == "rounding":
            return min(0.5 + 0.5 * self.age, 1.0)
        if self.phase == "young":
            return max(1.0 - 0.25 * self.age, 0.0)
        if self.phase == "dying":
            return min(0.6 + 0.2 * self.age, 1.0)
        return 0.0

    def move(self, centre: tuple[float, float], radius: float) -> None:
        """Go one frame ahead: a persistent random walk that the well's wall turns back."""
        g = self.generator
        self.age += 1
        still = 1 - self.roundness
        self.heading += g.normal(0, 0.35)
        step = self.speed * still * g.uniform(0.3, 1.4)
        self.row += step * np.sin(self.heading) + g.normal(0, 0.3)
        self.column += step * np.cos(self.heading) + g.normal(0, 0.3)
        away_row, away_column = self.row - centre[0], self.column - centre[1]
        distance = float(np.hypot(away_row, away_column))
        if distance > radius:
            self.row = centre[0] + away_row * radius / distance
            self.column = centre[1] + away_column * radius / distance
            self.heading = float(np.arctan2(-away_row, -away_column) + g.normal(0, 0.6))
        self.tail = float(np.clip(self.tail + g.normal(0, 1.5), 5, 26))
        self.spikes[:, 0] += g.normal(0, 0.12, len(self.spikes))
        self.spikes[:, 1] = np.clip(self.spikes[:, 1] + g.normal(0, 1.8, len(self.spikes)), 0, 20)
        self.grains[:, 1] += g.normal(0, 0.10, len(self.grains))
        self.grains[:, 0] = np.clip(
            self.grains[:, 0] + g.normal(0, 0.04, len(self.grains)), 0, 0.95
        )
        self.grains[:, 2] += 0.3 * (g.normal(*GRAIN_GREY, len(self.grains)) - self.grains[:, 2])

    def draw(self) -> tuple[Map, Map]:
        """Return thickness and grain, each ``[2·REACH, 2·REACH]``, with the cell in the middle."""
        along, across = self.local_axes()
        ball = self.roundness
        shrink = 1.0 - 0.09 * min(self.age, DYING_FRAMES) if self.phase == "dying" else 1.0
        ball_radius = 0.95 * np.sqrt(self.front * self.width) * shrink
        front = (1 - ball) * self.front + ball * ball_radius
        width = (1 - ball) * self.width + ball * ball_radius
        back = (1 - ball) * 1.9 * self.front + ball * ball_radius
        # A drop: narrower towards the tail.
        behind = np.clip(-along / back, 0, 1)
        narrowed = width * (1 - 0.6 * (1 - ball) * behind)
        rho = np.hypot(np.where(along > 0, along / front, along / back), across / narrowed)
        angle = np.arctan2(across, along)
        dents = 0.09 * np.sin(3 * angle + self.track) + 0.06 * np.sin(5 * angle + 2 * self.track)
        rho = rho * (1 + dents * (1 - ball))
        # Steep at the leading edge, where the dark rim is, flat towards the tail.
        steepness = np.where(along > 0, 0.45, 0.45 + 1.1 * (1 - ball) * behind)
        soma = np.clip(1 - rho**2, 0, None) ** steepness
        # Thickest in front, so that the rim is a crescent rather than a ring.
        lean = 1 + (1 - ball) * self.lean * np.clip(along / front, -1, 1)
        soma *= self.density * lean * (1 + 0.35 * ball)
        thickness = np.maximum(soma, self.lamella(along, across, 1 - ball))
        grain = self.draw_grains(front, 0.85 * back, width)
        if self.phase == "dying":
            grain *= 1.4 + 0.2 * min(self.age, DYING_FRAMES)
        return thickness.astype(np.float32), grain.astype(np.float32)

    def local_axes(self) -> tuple[Map, Map]:
        """Return how far each pixel lies ahead of the cell's centre, and how far to its side."""
        rows = np.arange(2 * REACH) - REACH - (self.row - np.floor(self.row))
        columns = np.arange(2 * REACH) - REACH - (self.column - np.floor(self.column))
        down, right = np.meshgrid(
            rows.astype(np.float32), columns.astype(np.float32), indexing="ij"
        )
        sine, cosine = math.sin(self.heading), math.cos(self.heading)
        return right * cosine + down * sine, down * cosine - right * sine

    def lamella(self, along: Map, across: Map, spread: float) -> Map:
        """Return the thin part: a ragged tail and a few spikes, thickness below a quarter."""
        if spread <= 0:
            return np.zeros_like(along)
        angle = np.arctan2(across, along)
        radius = 0.9 * np.sqrt(self.front * self.width) + self.tail * np.exp(
            2.2 * (np.cos(angle - np.pi) - 1)
        )
        for direction, length, sharpness in self.spikes.tolist():
            radius = radius + length * np.exp(sharpness * (np.cos(angle - direction) - 1))
        ragged = 0.07 * np.sin(7 * angle + self.track) + 0.05 * np.sin(17 * angle + 2 * self.track)
        radius = np.minimum(radius * (1 + ragged * (0.5 - 0.5 * np.cos(angle))), REACH - 1)
        depth = np.clip((radius * spread - np.hypot(along, across)) / self.softness, 0, 1)
        return 0.17 * depth * depth * (3 - 2 * depth)

    def draw_grains(self, front: float, back: float, width: float) -> npt.NDArray[np.float64]:
        """Return granules and vacuoles as dots with a faint dark ring, in grey values.

        Those of the lamella, behind the soma, are fainter.
        """
        radius, angle, grey, sigma = self.grains.T
        ahead = radius * np.cos(angle) * np.where(np.cos(angle) > 0, 0.9 * front, back)
        aside = radius * np.sin(angle) * width * 0.85
        fading = np.where(ahead < -0.6 * back, 0.45, 1.0)
        sine, cosine = np.sin(self.heading), np.cos(self.heading)
        return dots(
            REACH + self.row % 1 + ahead * sine + aside * cosine,
            REACH + self.column % 1 + ahead * cosine - aside * sine,
            sigma,
            grey * self.brightness * fading,
            2 * REACH,
        )
