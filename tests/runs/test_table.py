"""One table of many runs: what shares a line and a cell, and the three ways to write it."""

import csv
import io
import json

import numpy as np
import pytest

from anokit.errors import UsageError
from anokit.report.sweep import write_sweep_page
from anokit.results.metrics import Estimate
from anokit.results.rows import Results, Row
from anokit.runs.compare import compare
from anokit.runs.table import make_table
from anokit.runs.table_formats import FORMATS
from anokit.store.score_table import ScoreTable

LABELS = np.r_[np.zeros(40, int), np.ones(40, int)]


SPLIT = json.dumps({"fingerprint": "f", "spec": {"channels": 1, "height": 8, "width": 8}})


@pytest.fixture
def run(tmp_path):
    """Write what a table reads of a finished run."""

    def make(name, seed=1, gamma=0.0, recipe="ours", auroc=0.8, published=None, **results):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        columns = {key: LABELS + generator.normal(size=80) for key in ("lo", "pixel-knn")}
        estimates = {
            "auroc": Estimate(auroc, auroc - 0.1, auroc + 0.1),
            "ap": Estimate(0.5, 0.4, 0.6),
        }
        rows = [
            Row(name="pixel-knn", kind="baseline", metrics=estimates),
            Row(name="lo", metrics=estimates, published=published),
        ]
        found = Results(
            **{
                "recipe": recipe,
                "seed": seed,
                "primary": "lo",
                "contamination": gamma,
                "rows": rows,
                "published_source": "Somebody, Table 2" if published else None,
                **results,
            }
        )
        (folder / "results.json").write_text(found.model_dump_json())
        (folder / "scores.csv").write_text(
            ScoreTable([f"i{n}" for n in range(80)], LABELS, [""] * 80, columns).text()
        )
        resolved = {
            "seed": seed,
            "dataset": {"contamination": gamma},
            "backbone": {"use": recipe},
            "encoder-losses": [],
            "scores": [{"name": "lo"}],
            "training": {},
            "evaluation": {},
        }
        (folder / "resolved.json").write_text(json.dumps(resolved))
        (folder / "split.json").write_text(SPLIT)
        return folder

    return make


def cell(table, score="lo", gamma=0.0):
    cells = next(line for line in table.lines if line.score == score).cells.values()
    return next(one for one in cells if one.contamination == gamma)


def test_contamination_goes_across_and_seeds_share_a_cell(run, tmp_path):
    for seed, auroc in ((1, 0.7), (2, 0.8), (3, 0.9)):
        run(f"runs/clean{seed}", seed, auroc=auroc)
    run("runs/dirty", gamma=0.1, auroc=0.6)
    table = make_table([tmp_path / "runs"])
    assert table.columns == ["AUROC, γ = 0 %", "AUROC, γ = 10 %"]
    assert [(line.system, line.score) for line in table.lines] == [
        ("ours", "lo"),
        ("ours", "pixel-knn"),
    ]
    clean, dirty = cell(table), cell(table, gamma=0.1)
    assert (clean.mean, clean.deviation, clean.seeds) == (
        pytest.approx(0.8),
        pytest.approx(0.1),
        [1, 2, 3],
    )
    assert clean.low < clean.high  # over seeds and images, from the scores themselves
    assert (dirty.mean, dirty.deviation) == (0.6, None)
    assert (dirty.low, dirty.high) == pytest.approx((0.5, 0.7))  # the run's own


def test_other_options_are_another_line(run, tmp_path):
    run("a")
    run("b", recipe="other")
    table = make_table([tmp_path], scores=["lo"])
    assert [line.system for line in table.lines] == ["ours", "other"]


def test_systems_of_one_recipe_are_called_by_what_differs(run, tmp_path):
    for name, latent in (("a", 1), ("b", 2)):
        folder = run(name)
        resolved = json.loads((folder / "resolved.json").read_text())
        resolved["backbone"] |= {"latent": latent, "classes": ["x", "y"]}
        (folder / "resolved.json").write_text(json.dumps(resolved))
    table = make_table([tmp_path], scores=["lo"])
    assert [line.system for line in table.lines] == ["ours, latent 1", "ours, latent 2"]


def test_a_baseline_that_several_systems_bring_is_one_line(run, tmp_path):
    for name in ("ours", "theirs"):
        for seed in (1, 2):
            folder = run(f"{name}{seed}", seed, recipe=name)
            resolved = json.loads((folder / "resolved.json").read_text())
            resolved["baselines"] = [{"name": "pixel-knn", "terms": [{"use": "pixel-knn", "k": 5}]}]
            (folder / "resolved.json").write_text(json.dumps(resolved))
    table = make_table([tmp_path])
    assert [(line.system, line.score) for line in table.lines] == [
        ("ours", "lo"),
        ("theirs", "lo"),
        ("baseline", "pixel-knn"),
    ]
    assert cell(table, "pixel-knn").seeds == [1, 2]
    resolved["baselines"][0]["terms"][0]["k"] = 1  # another one is told apart
    (folder / "resolved.json").write_text(json.dumps(resolved))
    names = [line.system for line in make_table([tmp_path]).lines]
    assert names == ["ours", "theirs", "baseline", "baseline (2)"]


@pytest.mark.parametrize(("published", "inside"), [(0.75, True), (0.95, False)])
def test_a_published_figure_stands_beside_a_whole_run(run, tmp_path, published, inside):
    run("a", published=published)
    table = make_table([tmp_path], scores=["lo"])
    assert cell(table).holds_published is inside
    word = "inside" if inside else "outside"
    assert f"{published:g} ({word})" in FORMATS["markdown"](table)
    assert "Published: Somebody, Table 2." in FORMATS["markdown"](table)


@pytest.mark.parametrize("changes", [{"quick": True}, {"data": "simulated"}])
def test_no_published_figure_stands_beside_a_run_that_cannot_be_compared(run, tmp_path, changes):
    run("a", published=0.7, **changes)
    table = make_table([tmp_path], scores=["lo"])
    assert cell(table).published is None
    (remark,) = table.remarks
    assert remark.split()[0] in ("quick", "simulated")
    assert f"(a) {remark}" in FORMATS["markdown"](table)


def test_other_metrics_have_no_interval_over_seeds(run, tmp_path):
    run("a", 1)
    one = cell(make_table([tmp_path], metric="ap"))
    assert (one.mean, one.low, one.high) == (0.5, 0.4, 0.6)
    run("b", 2)
    two = cell(make_table([tmp_path], metric="ap"))
    assert (two.mean, two.low, two.deviation) == (0.5, None, 0.0)


def test_means_without_an_interval_are_not_said_to_have_one(run, tmp_path):
    for seed in (1, 2):
        run(f"s{seed}", seed=seed)
    found = FORMATS["markdown"](make_table([tmp_path], metric="ap"))
    assert "interval" not in found
    assert "Means over seeds ± their standard deviation, and in brackets their number." in found
    assert "95 % bootstrap interval" in FORMATS["markdown"](make_table([tmp_path]))


def test_how_epoch_and_threshold_were_chosen_stands_under_the_figures(run, tmp_path):
    threshold = {"threshold": "conformal; no label was read"}
    for seed, epoch in enumerate(("the last one", "best-on-test", "best-on-test")):
        folder = run(f"s{seed}", seed=seed, selection={"epoch": epoch, **threshold})
        content = json.loads((folder / "results.json").read_text())
        for row in content["rows"]:
            row["metrics"]["fpr"] = row["metrics"]["ap"]
        (folder / "results.json").write_text(json.dumps(content))
    epochs = "Epoch: the last one / best-on-test."
    assert make_table([tmp_path]).chosen == [epochs]
    table = make_table([tmp_path], metric="fpr")
    assert table.chosen == [epochs, "Threshold: conformal; no label was read."]
    assert epochs in FORMATS["markdown"](table)
    assert f"% {epochs}" in FORMATS["latex"](table)
    write_sweep_page("A sweep", table, None, [], tmp_path / "sweep.html")
    assert epochs in (tmp_path / "sweep.html").read_text()


def test_figures_of_explanations_are_tables_too(run, tmp_path):
    explained = {
        "score": "lo",
        "train_images": 9,
        "train_images_of": 9,
        "statistics": [
            {"statistic": "contrast", "correlation": Estimate(-0.9, -1, -0.8)},
            {"statistic": "gradient", "correlation": None},
        ],
        "regressed": {"auroc": Estimate(0.52, 0.5, 0.6), "change": Estimate(0, 0, 0)},
        "copies": [
            {
                "statistic": "contrast",
                "auroc": Estimate(0.55, 0.5, 0.6),
                "target": 9,
                "clipped": 0,
                "missed": 0,
            }
        ],
    }
    for seed in (1, 2):
        run(str(seed), seed, explanations=[explained])
    run("other", recipe="other")
    for metric, value in (("contrast", -0.9), ("regressed", 0.52), ("equal-contrast", 0.55)):
        (line,) = make_table([tmp_path], metric=metric).lines
        (found,) = line.cells.values()
        assert (line.score, found.mean, found.seeds) == ("lo", pytest.approx(value), [1, 2])
    with pytest.raises(UsageError, match="no finished run"):
        make_table([tmp_path], metric="gradient")


def test_what_cannot_be_a_table_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no finished run"):
        make_table([tmp_path])
    run("a")
    with pytest.raises(UsageError, match="no such folder"):
        make_table([tmp_path / "missing"])
    with pytest.raises(UsageError, match="no finished run with a score called nope"):
        make_table([tmp_path], scores=["nope"])
    with pytest.raises(UsageError, match="metric 'f1_max'"):
        make_table([tmp_path], metric="f1_max")
    run("b")
    with pytest.raises(UsageError, match="several runs of this recipe and score with seed 1") as e:
        make_table([tmp_path])
    assert str(e.value).startswith(f"{tmp_path / 'a'}, {tmp_path / 'b'}: ")


def test_a_mean_over_runs_of_two_versions_of_a_plugin_says_so(run, tmp_path):
    for seed, version in ((1, "1.0"), (2, "1.0"), (3, "2.0")):
        folder = run(f"r{seed}", seed, recipe="acme/ours")
        stored = json.loads((folder / "resolved.json").read_text())
        stored["baselines"] = [{"name": "pixel-knn", "terms": [{"use": "other/pixel-knn"}]}]
        (folder / "resolved.json").write_text(json.dumps(stored))
        plugins = {"plugins": {"acme": version, "other": "1.0", "unused": version}}
        (folder / "environment.json").write_text(json.dumps(plugins))
    table = make_table([tmp_path])
    assert table.remarks == ["runs of several versions of acme: 1.0 made 2, 2.0 made 1"]
    assert [line.score for line in table.lines if line.remarks] == ["lo"]
    assert make_table([tmp_path / "r1", tmp_path / "r2"]).remarks == []
    compared = compare([*(str(tmp_path / f"r{n}") for n in (1, 3)), f"{tmp_path}/r1:pixel-knn"])
    assert compared.systems[0].remarks == [
        "runs of several versions of acme: 1.0 made 1, 2.0 made 1"
    ]
    assert compared.systems[1].remarks == []


def test_markdown_has_a_line_for_each_score_baselines_last(run, tmp_path):
    run("a")
    run("b", 2)
    lines = FORMATS["markdown"](make_table([tmp_path])).splitlines()
    assert lines[0] == "| system | score | AUROC, γ = 0 % |"
    assert lines[2].startswith("| ours | lo | 0.800 ± 0.000 [")
    assert lines[2].endswith("(2) |")
    assert lines[3].startswith("| ours | pixel-knn |")


def test_latex_is_escaped_and_balanced(run, tmp_path):
    run("a", recipe="ours_10%&more")
    text = FORMATS["latex"](make_table([tmp_path]))
    assert r"ours\_10\%\&more & lo &" in text
    assert r"AUROC, $\gamma$ = 0 \%" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {2}
    assert text.count(r"\midrule") == 2
    assert text.strip().endswith(r"\end{tabular}")


def test_csv_has_every_cell_with_all_its_figures(run, tmp_path):
    run("a", published=0.75)
    run("b", gamma=0.1, published=0.95)
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](make_table([tmp_path])))))
    assert [(row["score"], row["contamination"]) for row in rows] == [
        ("lo", "0"),
        ("lo", "0.1"),
        ("pixel-knn", "0"),
        ("pixel-knn", "0.1"),
    ]
    assert [row["holds_published"] for row in rows] == ["true", "false", "", ""]
    assert float(rows[0]["low"]) == pytest.approx(0.7)


def test_the_command_prints_it_or_writes_it(run, anokit, tmp_path):
    run("runs/a")
    shown = anokit("table", tmp_path / "runs")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("| system | score |")
    target = tmp_path / "t.tex"
    assert anokit("table", tmp_path / "runs", "--format", "latex", "--out", target).code == 0
    assert r"\toprule" in target.read_text()
    assert anokit("table", tmp_path / "nope").code == 2


LAYOUT = """
[matrix]
recipe = ["ours", "ours_2pct", "other"]
[layout]
rows = [
    { name = "h Ours, Lo", score = "lo", recipe = ["ours", "ours_2pct"] },
    { name = "other", recipe = "other" },
    { name = "pixels", score = "pixel-knn", recipe = ["ours", "ours_2pct"] },
]
columns = [{ name = "clean", contamination = 0.0 }, { name = "2 %", contamination = 0.02 }]
"""


@pytest.fixture
def laid_out(run, tmp_path):
    """Write runs of three recipes below a folder whose sweep lays them out."""
    for seed, auroc in ((1, 0.6), (2, 0.8)):
        run(f"s/cells/clean{seed}", seed, auroc=auroc)
        run(f"s/cells/dirty{seed}", seed, 0.02, "ours_2pct", auroc=auroc - 0.1)
    run("s/cells/other", recipe="other", auroc=0.9)
    (tmp_path / "s" / "sweep.toml").write_text(LAYOUT)
    return tmp_path / "s"


def test_a_sweeps_layout_says_rows_and_columns(laid_out):
    table = make_table([laid_out])
    assert table.columns == ["clean", "2 %"]
    assert [line.system for line in table.lines] == ["h Ours, Lo", "other", "pixels"]
    ours, other, pixels = (line.cells for line in table.lines)
    assert (ours["clean"].mean, ours["2 %"].mean) == pytest.approx((0.7, 0.6))
    assert ours["2 %"].seeds == [1, 2]
    assert set(other) == {"clean"}
    assert other["clean"].score == "lo"  # the primary one, since none is named
    assert pixels["clean"].score == "pixel-knn"
    assert [line.baseline for line in table.lines] == [False, False, True]
    lines = FORMATS["markdown"](table).splitlines()
    assert lines[:2] == ["| system | clean | 2 % |", "|---|---:|---:|"]
    assert lines[3].endswith("| – |")
    assert FORMATS["latex"](table).startswith("% In brackets")
    assert r"\begin{tabular}{lrr}" in FORMATS["latex"](table)
    named = make_table([laid_out], scores=["pixel-knn"])
    assert {line.score for line in named.lines} == {"pixel-knn"}  # who asks for a score gets it


def test_a_place_that_several_systems_fit_is_refused(laid_out):
    text = LAYOUT.replace('{ name = "other", recipe = "other" }', '{ name = "any", score = "lo" }')
    (laid_out / "sweep.toml").write_text(text)
    with pytest.raises(UsageError, match=r"several systems fit row 'any', column 'clean'"):
        make_table([laid_out])


VARIANTS = """
[matrix]
recipe = ["ours"]
variant = ["a", "b"]
[variants.a]
[variants.b]
backbone.latent = 1
[layout]
rows = [{ name = "first", variant = "a" }, { name = "second", variant = "b" }]
columns = [{ name = "Lo", score = "lo" }, { name = "pixels", score = "pixel-knn" }]
"""


def test_a_layout_tells_variants_apart(run, tmp_path):
    cells = []
    for name, auroc in (("a", 0.6), ("b", 0.8)):
        folder = run(f"s/cells/{name}", auroc=auroc)
        resolved = json.loads((folder / "resolved.json").read_text())
        resolved["backbone"]["latent"] = name
        resolved["baselines"] = [{"name": "pixel-knn"}]
        (folder / "resolved.json").write_text(json.dumps(resolved))
        cells.append({"run": f"cells/{name}", "settings": {"variant": name, "seed": 1}})
    (tmp_path / "s" / "sweep.toml").write_text(VARIANTS)
    with pytest.raises(UsageError, match=r"sweep\.json: is missing or damaged; go on from"):
        make_table([tmp_path / "s"])
    (tmp_path / "s" / "sweep.json").write_text(json.dumps({"quick": False, "cells": cells}))
    lines = make_table([tmp_path / "s"]).lines
    found = [(line.system, line.cells["Lo"].mean) for line in lines]
    assert found == [("first", pytest.approx(0.6)), ("second", pytest.approx(0.8))]
    assert all("pixels" in line.cells for line in lines)  # the same baseline in both rows
    plain = make_table([tmp_path / "s"], laid_out=False)
    assert [line.system for line in plain.lines] == ["ours, a", "ours, b", "baseline"]


def test_in_a_layout_a_baseline_stands_in_the_row_of_each_recipe_that_has_it(run, tmp_path):
    for name in ("ours", "other"):
        folder = run(f"s/cells/{name}", recipe=name)
        resolved = json.loads((folder / "resolved.json").read_text())
        resolved["baselines"] = [{"name": "pixel-knn", "terms": [{"use": "pixel-knn"}]}]
        (folder / "resolved.json").write_text(json.dumps(resolved))
    (tmp_path / "s" / "sweep.toml").write_text(
        '[matrix]\nrecipe = ["ours", "other"]\n[layout]\n'
        'rows = [{ name = "a", recipe = "ours" }, { name = "b", recipe = "other" }]\n'
        'columns = [{ name = "Lo", score = "lo" }, { name = "pixels", score = "pixel-knn" }]\n'
    )
    one, other = (line.cells for line in make_table([tmp_path / "s"]).lines)
    assert set(one) == set(other) == {"Lo", "pixels"}
    assert one["pixels"].mean == other["pixels"].mean
