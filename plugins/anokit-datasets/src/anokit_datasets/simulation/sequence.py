"""One simulated image sequence: a microwell, its cells and its debris over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from anokit_datasets.simulation import cells as cell_module
from anokit_datasets.simulation import debris as debris_module
from anokit_datasets.simulation.cells import DYING_FRAMES, OUTLINE, Cell
from anokit_datasets.simulation.debris import KINDS, SHARES, Debris
from anokit_datasets.simulation.optics import Map, draw_light, expose

HEIGHT, WIDTH = 560, 600
"""Pixels of a frame, at the scale of the real one, which is 1104×1027 and has a larger well."""
WELL_RADIUS = 255.0
FOUNDERS = 9
PIECES = 9
CYCLE_FRAMES = (14, 34)
"""Frames from one division to the next, drawn uniformly."""
DEATH_SHARE = 0.2
"""Share of cells that die instead of dividing."""
MAX_CELLS = 26


@dataclass(frozen=True)
class Frame:
    """One simulated frame and its label images, all ``[H, W]``."""

    picture: npt.NDArray[np.uint8]
    cells: npt.NDArray[np.uint16]
    debris: npt.NDArray[np.uint16]


@dataclass
class Tracks:
    """Lines of the track text, by track: start, end, parent; and who died."""

    lines: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    died: set[int] = field(default_factory=set)

    def see(self, track: int, frame: int, parent: int) -> None:
        """Note that ``track`` is seen in ``frame``."""
        start = self.lines[track][0] if track in self.lines else frame
        self.lines[track] = (start, frame, parent)


class Microwell:
    """A well with cells and debris that is filmed frame by frame.

    Parameters
    ----------
    generator
        source of every draw.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self.light = draw_light((HEIGHT, WIDTH), generator)
        self.centre = (
            HEIGHT / 2 + generator.uniform(-10, 10),
            WIDTH / 2 + generator.uniform(-25, 25),
        )
        self.light += self.draw_wall()
        self.cell_tracks = Tracks()
        self.debris_tracks = Tracks()
        self.cells: list[Cell] = []
        self.debris: list[Debris] = []
        self.next_cell = 1
        self.next_piece = 1
        for _ in range(FOUNDERS):
            self.add_cell(*self.somewhere(WELL_RADIUS - 25))
        for _ in range(PIECES):
            self.add_piece()

    def film(self, frames: int) -> Iterator[Frame]:
        """Yield ``frames`` frames."""
        for number in range(frames):
            if number:
                self.go_on(number)
            yield self.expose(number)

    def somewhere(self, radius: float) -> tuple[float, float]:
        """Return a point within ``radius`` of the well's centre, uniformly."""
        distance = radius * np.sqrt(self.generator.uniform())
        angle = self.generator.uniform(-np.pi, np.pi)
        return (
            float(self.centre[0] + distance * np.sin(angle)),
            float(self.centre[1] + distance * np.cos(angle)),
        )

    def add_cell(self, row: float, column: float, parent: int = 0, start: int = 0) -> Cell:
        """Add a cell; a daughter where ``parent`` is not 0."""
        g = self.generator
        cell = Cell(self.next_cell, row, column, g.uniform(-np.pi, np.pi), g, start, parent)
        cell.frames_to_division = int(g.integers(*CYCLE_FRAMES))
        cell.dies = bool(g.uniform() < DEATH_SHARE)
        if parent:
            cell.phase = "young"
        else:
            # Founders are anywhere in their cycle.
            cell.frames_to_division = int(g.integers(3, CYCLE_FRAMES[1]))
        self.next_cell += 1
        self.cells.append(cell)
        return cell

    def add_piece(self, start: int = 0, remains_at: tuple[float, float] | None = None) -> None:
        """Add a piece of debris: of any kind anywhere, or the remains of a dead cell."""
        g = self.generator
        if remains_at is None:
            kind = KINDS[int(g.choice(len(KINDS), p=SHARES))]
            row, column = g.uniform(20, HEIGHT - 20), g.uniform(20, WIDTH - 20)
            lifetime = int(g.integers(8, 60))
        else:
            kind, (row, column), lifetime = "remains", remains_at, int(g.integers(4, 15))
        self.debris.append(
            Debris(self.next_piece, kind, row, column, g, start=start, lifetime=lifetime)
        )
        self.next_piece += 1

    def go_on(self, number: int) -> None:
        """Move everything to frame ``number``."""
        g = self.generator
        for cell in list(self.cells):
            cell.move(self.centre, WELL_RADIUS - 18)
            lived = number - cell.start
            if cell.phase == "young" and cell.age > 4:
                cell.phase, cell.age = "crawling", 0
            elif cell.phase == "crawling" and lived >= cell.frames_to_division:
                if cell.dies:
                    cell.phase, cell.age = "dying", 0
                elif len(self.cells) < MAX_CELLS:
                    cell.phase, cell.age = "rounding", 0
            elif cell.phase == "rounding" and cell.age > 2:
                self.divide(cell, number)
            elif cell.phase == "dying" and cell.age > DYING_FRAMES:
                self.cells.remove(cell)
                self.cell_tracks.died.add(cell.track)
                self.add_piece(start=number, remains_at=(cell.row, cell.column))
        for piece in self.debris:
            piece.move()
        self.debris = [
            piece
            for piece in self.debris
            if number - piece.start < piece.lifetime
            and 0 <= piece.row < HEIGHT
            and 0 <= piece.column < WIDTH
        ]
        if len(self.debris) < PIECES + 2 and g.uniform() < 0.35:
            self.add_piece(start=number)

    def divide(self, mother: Cell, number: int) -> None:
        """Replace a mother by two daughters beside each other."""
        self.cells.remove(mother)
        angle = self.generator.uniform(-np.pi, np.pi)
        for sign in (-1, 1):
            daughter = self.add_cell(
                mother.row + sign * 8.5 * np.sin(angle),
                mother.column + sign * 8.5 * np.cos(angle),
                mother.track,
                number,
            )
            daughter.heading = angle if sign > 0 else angle + np.pi
            daughter.front *= 0.85
            daughter.width *= 0.85

    def expose(self, number: int) -> Frame:
        """Return frame ``number`` of what is there now, and note the tracks that are seen."""
        shape = (HEIGHT, WIDTH)
        thickness, grain, shade = (np.zeros(shape, np.float32) for _ in range(3))
        cell_labels, debris_labels = (np.zeros(shape, np.uint16) for _ in range(2))
        for piece in self.debris:
            piece_grain, piece_shade, outline = piece.draw()
            here, there = overlap(piece.row, piece.column, debris_module.REACH, shape)
            grain[here] += piece_grain[there]
            shade[here] += piece_shade[there]
            debris_labels[here][outline[there]] = piece.track
        for cell in self.cells:
            height, cell_grain = cell.draw()
            here, there = overlap(cell.row, cell.column, cell_module.REACH, shape)
            thickness[here] = np.maximum(thickness[here], height[there])
            grain[here] += cell_grain[there]
            cell_labels[here][height[there] > OUTLINE] = cell.track
        for cell in self.cells:
            if (cell_labels == cell.track).any():
                self.cell_tracks.see(cell.track, number, cell.parent)
        for piece in self.debris:
            if (debris_labels == piece.track).any():
                self.debris_tracks.see(piece.track, number, 0)
        picture = expose(self.light, thickness, grain, shade, self.generator)
        return Frame(picture, cell_labels, debris_labels)

    def draw_wall(self) -> Map:
        """Return what the well's wall adds to the light: a dark band with a bright, knotty edge."""
        rows, columns = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
        away = np.hypot(rows - self.centre[0], columns - self.centre[1]) - WELL_RADIUS
        knots = ndimage.gaussian_filter(self.generator.standard_normal((HEIGHT, WIDTH)), 1.2)
        wall = -12 * np.exp(-((away - 4) ** 2) / (2 * 3.5**2))
        wall += 16 * np.exp(-((away - 11) ** 2) / (2 * 1.3**2)) * (1 + 3 * knots)
        return wall.astype(np.float32)


Window = tuple[slice, slice]


def overlap(row: float, column: float, reach: int, shape: tuple[int, int]) -> tuple[Window, Window]:
    """Return the part of a frame that a square covers, and the part of the square that covers it.

    The square has the half-side ``reach`` and lies about the point (row, column), in pixels.
    """
    here, there = [], []
    for place, length in zip((row, column), shape, strict=True):
        start = int(np.floor(place)) - reach
        first, last = max(start, 0), min(start + 2 * reach, length)
        here.append(slice(first, max(last, first)))
        there.append(slice(first - start, max(last, first) - start))
    return (here[0], here[1]), (there[0], there[1])
