"""Figures for papers: vector files that are the same every time, without title, clear in grey."""

import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from anokit.report import colours, printed, style
from anokit.report.panel_grid import Panel, Place, grid_of, in_reading_order, letter
from anokit.report.sweep import contamination_curve
from anokit.results.metrics import Estimate
from anokit.results.result_table import Cell, Line, ResultTable


def lightness(colour):
    """Return the relative luminance of a colour (WCAG 2), in [0, 1]."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other="white"):
    low, high = sorted(lightness(colour) + 0.05 for colour in (one, other))
    return high / low


def cloud(system="ours", gamma=0.0, width=2, labels=(0, 1), count=40):
    generator = np.random.default_rng(len(system))
    values = np.abs(generator.normal(1, 0.3, (count, width))) + 0.01
    return Panel(Place(system, gamma), values, np.resize(np.array(labels), count))


def table():
    def line(system):
        cells = {
            f"γ {g}": Cell(mean=m, low=m - 0.1, high=m + 0.1, seeds=[1], contamination=g)
            for g, m in ((0.0, 0.8), (0.1, 0.6))
        }
        return Line(
            system=system, score="lo", baseline=False, primary=True, cells=cells, remarks=[]
        )

    lines = [line(f"s{number}") for number in range(10)]
    return ResultTable(
        metric="auroc", columns=["γ 0", "γ 0.1"], lines=lines, remarks=[], sources=[]
    )


def queries():
    pictures = np.random.default_rng(0).integers(0, 255, (3, 3, 8, 8)).astype(np.uint8)
    rows = [printed.Match(Place(name, 0.0), pictures) for name in ("ours", "theirs")]
    return [printed.Queries(pictures, np.array([0, 0, 1]), ["car", "car", "dog"], rows)]


def estimate(value=0.5):
    return Estimate(value, value - 0.1, value + 0.1)


FIGURES = {
    "tsne": lambda: printed.embeddings([cloud(), cloud("theirs")]),
    "histograms": lambda: printed.coefficient_histograms([cloud(width=9), cloud("theirs", 0, 5)]),
    "losses": lambda: printed.loss_scatter([cloud(), cloud("theirs")]),
    "curves": lambda: printed.loss_curves([cloud()], [[estimate(), estimate(0.6)]]),
    "matches": lambda: printed.closest_matches(queries()),
    "contamination": lambda: contamination_curve(table(), printed=True),
}


@pytest.fixture(params=FIGURES)
def kind(request):
    return request.param


def drawn(kind, form="svg"):
    with style.drawing():
        return style.vector(FIGURES[kind](), form)


def test_no_figure_has_a_title(kind):
    with style.drawing():
        figure = FIGURES[kind]()
        assert figure.get_suptitle() == ""
        assert not any(axes.get_title(loc=at) for axes in figure.axes for at in ("left", "center"))
    assert b"<title" not in drawn(kind)
    assert b"/Title" not in drawn(kind, "pdf")


@pytest.mark.parametrize("form", ["svg", "pdf"])
def test_equal_figures_are_equal_files_without_a_date(kind, form):
    first = drawn(kind, form)
    assert first == drawn(kind, form)
    assert not re.search(rb"dc:date|CreationDate|20\d\d-\d\d-\d\d", first)


def test_letters_need_no_font_where_the_file_is_read(kind):
    assert b"<text" not in drawn(kind)  # outlines
    pdf = drawn(kind, "pdf")
    assert b"/FontFile2" in pdf  # TrueType that is in the file
    assert b"/Type3" not in pdf


def test_only_pictures_have_pixels(kind):
    count = drawn(kind).count(b"<image ")
    assert count == (9 if kind == "matches" else 0)


def test_groups_differ_in_grey_and_in_marker():
    assert contrast(colours.PRINTED[0], colours.PRINTED[1]) > 3
    for one, other in combinations(colours.PRINTED.values(), 2):
        assert contrast(one, other) > 1.5
    assert all(contrast(colour) > 2 for colour in colours.PRINTED.values())
    with style.drawing():
        for figure in (FIGURES["tsne"](), FIGURES["losses"]()):
            normal, anomalous = figure.axes[0].collections
            assert len(normal.get_paths()[0]) != len(anomalous.get_paths()[0])
            assert to_hex(normal.get_facecolor()[0]) == colours.PRINTED[0]
            assert len(anomalous.get_facecolor()) == 0  # an outline: what it lies on stays seen
            assert to_hex(anomalous.get_edgecolor()[0]) == colours.PRINTED[1]


def test_one_group_of_a_histogram_is_filled_and_the_other_an_outline():
    with style.drawing():
        normal, anomalous = FIGURES["histograms"]().axes[0].patches
        assert normal.get_fill()
        assert not anomalous.get_fill()
        assert anomalous.get_linewidth() > 1


def test_lines_differ_in_grey_in_dash_and_in_marker():
    for one, other in combinations(colours.PRINTED_LINES, 2):
        assert contrast(one, other) > 1.35
    assert all(contrast(colour) >= 2.99 for colour in colours.PRINTED_LINES)
    with style.drawing():
        lines = [
            one for one in FIGURES["contamination"]().axes[0].lines if one.get_marker() != "None"
        ]
        looks = [(line.get_marker(), line.get_linestyle(), line._dash_pattern) for line in lines]
        assert len(lines) == len(set(map(str, looks))) == 10
        assert len({line.get_marker() for line in lines}) == 10
        curves = FIGURES["curves"]().axes[0].lines[1:]
        assert [line.get_linestyle() for line in curves] == ["-", "--"]


def test_bands_in_print_have_edges_and_those_of_the_report_have_none():
    with style.drawing():
        thin = [
            [line for line in figure.axes[0].lines if line.get_linewidth() == 0.5]
            for figure in (contamination_curve(table(), printed=True), contamination_curve(table()))
        ]
    assert [len(lines) for lines in thin] == [20, 0]
    assert thin[0][0].get_linestyle() != thin[0][2].get_linestyle()


def test_letters_go_on_after_z():
    assert [letter(n) for n in (0, 25, 26, 701, 702)] == ["(a)", "(z)", "(aa)", "(zz)", "(aaa)"]


def spots(figure_axes):
    """Return row and column of every panel in a grid."""
    places = [axes.get_subplotspec() for axes in figure_axes]
    return [(one.rowspan.start, one.colspan.start) for one in places]


def heading(axes):
    return axes.texts[0].get_text()


def test_systems_stand_side_by_side_and_contaminations_below():
    given = [cloud("b", 0.02), cloud("a", 0.0), cloud("b", 0.0), cloud("c", 0.02)]
    panels = in_reading_order(given)
    names = ["a, γ = 0 %", "b, γ = 0 %", "b, γ = 2 %", "c, γ = 2 %"]
    assert [str(panel.place) for panel in panels] == names
    with style.drawing():
        figure, grid = grid_of(panels, 1.0)
    assert spots(grid) == [(0, 0), (0, 1), (1, 1), (1, 2)]
    assert len(figure.axes) == 4  # what no run fills stays empty
    assert [heading(axes) for axes in grid][:3] == [
        "(a) a\nγ = 0 %",
        "(b) b\nγ = 0 %",
        "(c) b\nγ = 2 %",
    ]


def test_many_systems_go_on_below_and_one_has_its_contaminations_side_by_side():
    many = in_reading_order([cloud(f"s{n}", gamma) for gamma in (0.0, 0.1) for n in range(6)])
    alone = in_reading_order([cloud("s", gamma) for gamma in (0.1, 0.0, 0.4)])
    with style.drawing():
        _, grid = grid_of(many, 1.0)
        _, row = grid_of(alone, 1.0)
    block = [(r, c) for r in (0, 1) for c in range(4)]
    assert spots(grid) == [*block, (2, 0), (2, 1), (3, 0), (3, 1)]
    assert [panel.place.system for panel in many][8:] == ["s4", "s5", "s4", "s5"]
    assert spots(row) == [(0, 0), (0, 1), (0, 2)]
    assert [panel.place.gamma for panel in alone] == [0.0, 0.1, 0.4]


def test_losses_that_reach_far_get_a_logarithmic_axis():
    near, far = cloud(), cloud("theirs")
    near.values[:, 0] = np.linspace(0.1, 0.3, 40)
    far.values[:, 0] = np.linspace(0.1, 30, 40)
    with style.drawing():
        scales = [axes.get_xscale() for axes in printed.loss_scatter([near, far]).axes]
    assert scales == ["linear", "log"]


def test_histograms_hold_every_component_of_a_group():
    panel = cloud(width=500)
    panel.values[0, 0] = 1e6  # one that lies far out is in the last bin
    with style.drawing():
        figure = printed.coefficient_histograms([panel])
    for steps in figure.axes[0].patches:
        assert steps.get_data().values.sum() == pytest.approx(1.0)
    assert figure.axes[0].get_xlim()[1] < 10


def test_images_without_a_label_are_drawn_apart_and_have_no_curve():
    panel = cloud(labels=(0, 1, -1))
    with style.drawing():
        figure = printed.embeddings([panel])
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        curve = printed.loss_curves([panel], [[estimate(), estimate()]])
        assert style.vector(curve, "svg")
    assert names == ["normal", "anomalous", "unlabelled"]
    assert len(figure.axes[0].collections) == 3
