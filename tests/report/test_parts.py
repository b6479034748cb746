"""Parts of the report by themselves: reading a run, findings in words, the terminal's table."""

import io

import numpy as np
import pytest
from rich.console import Console

from anokit.cli.tables import results_table
from anokit.errors import CheckpointError
from anokit.report import findings
from anokit.report.figures import short_count
from anokit.report.gallery import groups
from anokit.report.html import write_report
from anokit.report.reading import Run, read_run
from anokit.results.rows import Results


@pytest.fixture
def bare(tmp_path):
    (tmp_path / "results.json").write_text('{"title": "Bare", "rows": []}')
    return tmp_path


def test_gallery_groups_are_the_extremes_and_the_worst_mistakes():
    labels = np.array([0, 1, 0, 1, -1])
    scores = np.array([0.1, 0.2, 0.9, 0.8, 1.0])
    found = {group.name: group.rows for group in groups(labels, scores, count=2)}
    assert found == {
        "most_anomalous": [4, 2],
        "least_anomalous": [0, 1],
        "false_alarms": [2, 0],
        "misses": [1, 3],
    }


@pytest.mark.parametrize(
    ("shift", "expected"), [(2.0, "longer codes"), (-2.0, "shorter codes"), (0.0, "neither group")]
)
def test_norm_cue_is_reported_in_the_direction_it_has(shift, expected):
    generator = np.random.default_rng(0)
    normal, anomalous = generator.normal(5, 1, (2, 200))
    sentence = findings.norm_direction({"normal": normal, "anomalous": anomalous + shift})
    assert expected in sentence
    assert "property of the data" in sentence


def test_norm_cue_needs_both_classes():
    assert findings.norm_direction({"normal": np.ones(3)}) == ""


def test_half_a_line_at_the_end_of_the_log_is_left_out(bare):
    (bare / "metrics.jsonl").write_text('{"phase": "a", "images": 1}\n{"phase": "a", "ima')
    assert len(read_run(bare).log) == 1
    (bare / "metrics.jsonl").write_text('{"phase": "a", "ima\n{"phase": "a", "images": 1}\n')
    found = read_run(bare)
    assert (len(found.log), found.lost_lines) == (1, 1)  # a damaged log stops no report


def test_directory_without_results_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"results\.json"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.json", "{"),
        ("results.json", '{"rows": [{}]}'),
        ("environment.json", "[1"),
        ("report.safetensors", "short"),
        ("scores.csv", "label,lo\n0,1.0\n"),
    ],
)
def test_file_that_was_cut_short_is_an_error_that_names_the_run(bare, name, content):
    (bare / name).write_text(content)
    with pytest.raises(CheckpointError, match=r"cannot be understood|damaged") as caught:
        write_report(bare)
    assert str(bare) in str(caught.value)


@pytest.mark.parametrize(("count", "text"), [(800, "800"), (120_000, "120k"), (1.5e6, "1.5M")])
def test_axes_count_images_shortly(count, text):
    assert short_count(count) == text


def row(name, **more):
    metrics = {key: {"value": 0.5, "low": 0.41, "high": 0.59} for key in METRICS}
    return {"name": name, "metrics": metrics, "ms_per_image": 0.8, **more}


METRICS = ("auroc", "ap", "fpr95", "f1", "f1_max")

RESULTS = {
    "primary": "proposed",
    "data": "real",
    "quick": False,
    "seed": 1000,
    "published_source": "Berg et al., Table 2",
    "rows": [
        row("proposed", published=0.72),
        row("feature-residual", batch="minibatch stddev over the batch, as published"),
        row("norm-typicality", selection="best epoch by test AUC"),
        row("pixel-knn", kind="baseline", ms_per_image=123.4),
    ],
}


def printed(results):
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(results_table(Results.model_validate(results)))
    return console.file.getvalue()


def test_terminal_table_fits_and_has_intervals():
    text = printed(RESULTS)
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(len(line) for line in lines) <= 100
    assert text.count("0.500 [0.410, 0.590]") == 2 * len(RESULTS["rows"])
    # One line for each row, baselines under a rule.
    starts = [line.split()[0] for line in lines[:7]]
    rule = lines[1]
    assert starts == [
        *("score", rule, "proposed", "feature-residual¹", "norm-typicality²"),
        *(rule, "pixel-knn"),
    ]
    assert set(rule) == {"─"}


def test_terminal_table_says_what_every_line_must_say():
    text = printed(RESULTS)
    assert "¹ minibatch stddev over the batch, as published" in text
    assert "² best epoch by test AUC" in text


@pytest.mark.parametrize(
    ("change", "count"),
    [({}, 1), ({"quick": True}, 0), ({"data": "simulated"}, 0), ({"published_source": None}, 0)],
)
def test_published_figures_stand_only_beside_full_runs_on_real_data(change, count):
    text = printed(RESULTS | change)
    assert text.count("0.72") == text.count("Berg et al., Table 2") == count
    assert Results.model_validate(RESULTS | change).prints_published == bool(count)


def test_simulated_data_are_announced_once(tmp_path):
    results = Results(data="simulated", notices=["SIMULATED DATA: drawn.", "One file is broken."])
    found = [banner.title for banner in findings.banners(Run(tmp_path, results))]
    assert found == ["Simulated data", "Notice"]


def test_terminal_table_without_metrics_says_why():
    text = printed({"rows": [{"name": "lo", "metrics": None}]})
    assert "No metrics" in text
    assert "AUROC" not in text
    assert "–" not in text


def test_terminal_table_without_metrics_has_what_there_is():
    rows = [
        {"name": "lo", "threshold": 2.5, "false_alarms": 0.01, "ms_per_image": 0.8},
        {"name": "knn", "threshold": 0.125, "false_alarms": 0.01, "batch": "by batch"},
    ]
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    results = Results.model_validate({"primary": "lo", "rows": rows})
    console.print(results_table(results, {"lo": 3, "knn": 0}))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines[0] == ["score", "threshold", "false", "alarms", "flagged", "ms"]
    assert lines[2] == ["lo", "2.5", "≤", "1", "%", "3", "0.8"]
    assert lines[3] == ["knn¹", "0.125", "≤", "1", "%", "0", "–"]
    assert ["¹", "by", "batch"] in lines


def test_terminal_table_tells_measured_from_promised_false_alarms():
    rates = {
        "fpr": {"value": 0.025, "low": 0.003, "high": 0.0875},
        "tpr": {"value": 0.5, "low": 0.39, "high": 0.61},
    }
    first = row("proposed", false_alarms=0.01)
    first["metrics"] |= rates
    text = printed({"primary": "proposed", "rows": [first]})
    header = text.splitlines()[0].split()
    assert header == ["score", "AUROC", "AP", "FPR95", "F1", "F1", "max", "ms"]
    flat = " ".join(text.split())
    assert (
        "At its threshold proposed promises at most 1 % false alarms; measured 2.5 % [0.3, 8.8]. "
        "It finds 50.0 % [39.0, 61.0] of the anomalies."
    ) in flat
