"""The report of a fabricated run: everything is there, and whatever is missing is said to be."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from anokit.report import findings
from anokit.report.gallery import groups
from anokit.report.html import write_report
from anokit.report.reading import read_run
from anokit.report.sections import UNLABELLED
from anokit.results.metrics import auroc_by_kind, measure, rates

RECIPE = 'title = "Cells <in> wells"\nseed = 1000\n\n[dataset]\nuse = "kth-cellvideos"\n'
KINDS = ("good", "dividing & dying", "debris $x_1")


def blobs(generator, count, size, odd):
    """Draw grey pictures ``[N, 1, H, W]`` of one bright disc each; odd ones get a second."""
    y, x = np.mgrid[:size, :size] / size
    pictures = []
    for strange in odd:
        picture = np.full((size, size), 0.35)
        for _ in range(1 + int(strange)):
            centre, radius = generator.uniform(0.3, 0.7, 2), generator.uniform(0.1, 0.2)
            distance = np.hypot(y - centre[0], x - centre[1])
            picture += 0.45 * np.exp(-((distance / radius) ** 2))
        pictures.append(picture + generator.normal(0, 0.03, picture.shape))
    return (np.clip(pictures, 0, 1) * 255).astype(np.uint8).reshape(count, 1, size, size)


def estimates(metrics):
    return {name: None if value is None else vars(value) for name, value in vars(metrics).items()}


def fabricate(directory, *, tests=60, size=8, latent=6, training=90, steps=40):
    """Write a run directory that has everything."""
    generator = np.random.default_rng(0)
    labels = (np.arange(tests) % 2).astype(int)
    kinds = [KINDS[int(label) * (1 + at % 4 // 2)] for at, label in enumerate(labels)]
    ln = generator.gamma(9, 0.0005, tests) + 0.0012 * labels
    lo = generator.normal(1.0, 0.25, tests) + 0.3 * labels
    columns = {
        "proposed": 0.05 * ln + 0.95 * lo,
        "ln": ln,
        "lo": lo,
        "pixel-knn": ln + generator.normal(0, 0.001, tests),
        "pixel-pca": generator.normal(0, 1, tests) + 0.2 * labels,
    }
    published = {"proposed": 0.72, "ln": 0.58, "lo": 0.70}
    rows = []
    for name, values in columns.items():
        threshold = float(np.quantile(values[labels == 0], 0.9))
        metrics = measure(labels, values, threshold, resamples=100)
        rows.append(
            {
                "name": name,
                "kind": "baseline" if name.startswith("pixel") else "score",
                "selection": "none",
                "batch": "",
                "threshold": threshold,
                "false_alarms": 0.1,
                "metrics": estimates(metrics)
                | {key: vars(value) for key, value in rates(labels, values, threshold).items()},
                "pixel": {"auroc": vars(metrics.auroc), "aupro": vars(metrics.ap)}
                if name == "ln"
                else None,
                "by_kind": auroc_by_kind(labels, values, kinds),
                "published": published.get(name),
                "ms_per_image": 0.8 if name != "pixel-knn" else 12.5,
                "note": "Ln is printed as a norm over N, not over √N." if name == "ln" else None,
            }
        )
    results = {
        "title": "Cells <in> wells",
        "recipe": "ours_kth",
        "seed": 1000,
        "quick": False,
        "data": "real",
        "protocol": "one-class",
        "contamination": 0.02,
        "primary": "proposed",
        "notices": ["Three files could not be read."],
        "warnings": ["The critic ran away between 20,000 and 30,000 images."],
        "selection": {
            "epoch": "last weights, moving average of the generator",
            "threshold": "98 % quantile of unlabelled training images",
        },
        "train_images": training,
        "contaminants": training // 10,
        "test_normal": int(np.sum(labels == 0)),
        "test_anomalous": int(np.sum(labels == 1)),
        "published_source": "Berg et al., Table 1",
        "rows": rows,
    }
    write_json(directory, "results.json", results)
    (directory / "recipe.toml").write_text(RECIPE)
    write_json(directory, "resolved.json", {"seed": 1000, "backbone": {"use": "pgan"}})
    versions = {"python": "3.12", "plugins": {"anokit-pgan": "0.1.0", "list": ["a", "b"]}}
    write_json(directory, "environment.json", versions)
    with (directory / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "kind", *columns])
        for at in range(tests):
            values = [columns[name][at] for name in columns]
            writer.writerow([f"well/{at}", labels[at], kinds[at], *values])
    write_json(directory, "terms.json", {"proposed": [["ln", 0.05], ["lo", 0.95]]})
    write_log(directory, generator, steps)
    chosen = sorted({row for g in groups(labels, columns["proposed"]) for row in g.rows})
    shown = blobs(generator, len(chosen), size, labels[chosen])
    blurred = ((shown.astype(float) + np.roll(shown, 1, 2) + np.roll(shown, 1, 3)) / 3).astype("u1")
    known = np.arange(training) < training // 10
    scores = generator.normal(0, 1, training) + 1.5 * known
    top = np.argsort(-scores)[:24]
    spread = 1 + 0.25 * labels[:, None]
    arrays = {
        "test_latent": generator.normal(0, 1, (tests, latent)) * spread + labels[:, None] * 0.3,
        "train_latent_norm": generator.normal(np.sqrt(latent), 0.6, training) + known,
        "train_is_contaminant": known.astype(np.uint8),
        "train_score": scores,
        "train_score_is_contaminant": known.astype(np.uint8),
        "gallery_index": np.array(chosen),
        "gallery_image": shown,
        "gallery_image_hat": blurred,
        "gallery_map": np.abs(shown.astype(float) - blurred).mean(axis=1),
        "train_top_image": blobs(generator, len(top), size, known[top]),
        "train_top_is_contaminant": known[top].astype(np.uint8),
        "train_top_score": scores[top],
        "term/proposed/0": ln,
        "term/proposed/1": lo,
    }
    save_file(
        {k: np.ascontiguousarray(v) for k, v in arrays.items()}, directory / "report.safetensors"
    )
    (directory / "samples").mkdir()
    for at in range(1, 13):
        grid = blobs(generator, 16, size, np.zeros(16)).reshape(4, 4, size, size)
        grid = grid.transpose(0, 2, 1, 3).reshape(4 * size, 4 * size)
        name = f"{at * 10_000:09d}_{'fade' if at % 2 else 'grow'}-{4 * 2 ** (at // 4)}.png"
        Image.fromarray(grid).save(directory / "samples" / name)
    return directory


def write_json(directory, name, value):
    (directory / name).write_text(json.dumps(value), encoding="utf-8")


def write_log(directory, generator, steps):
    lines = []
    for step in range(steps):
        phase = 4 * 2 ** (4 * step // steps)
        lines.append(
            {
                "phase": f"grow-{phase}",
                "resolution": phase,
                "images": (step + 1) * 1000,
                "step": step,
                "seconds": step * 2.0,
                "images_per_second": 4000 / phase + generator.normal(0, 4),
                "metrics": {
                    "loss_d": -3 * np.exp(-step / 12) + generator.normal(0, 0.1),
                    "loss_g": np.sin(step / 9) + generator.normal(0, 0.1),
                    "gradient_penalty": abs(generator.normal(0.2, 0.05)),
                    "loss_e": None if step < 3 else np.exp(-step / 15) + generator.normal(0, 0.02),
                },
            }
        )
    text = "\n".join(json.dumps(line) for line in lines)
    (directory / "metrics.jsonl").write_text(text + "\n")


class Page(HTMLParser):
    """What a browser would fetch, and the text that it would show."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.tags, self.ids, self.shown, self.labels = [], set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "srcset"):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.shown.append(data)
        if self.lasttag == "text":
            self.labels.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.shown).split())


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    directory = fabricate(tmp_path_factory.mktemp("run"))
    path = write_report(directory)
    return directory, path.read_text(encoding="utf-8")


@pytest.fixture
def bare(tmp_path):
    write_json(tmp_path, "results.json", {"title": "Bare", "rows": []})
    return tmp_path


def changed(directory, target, **values):
    """Copy results.json of a run with some values replaced."""
    results = json.loads((directory / "results.json").read_text())
    write_json(target, "results.json", results | values)
    return target


def page_of(directory):
    return Page(write_report(directory).read_text(encoding="utf-8"))


def test_page_needs_nothing_from_elsewhere(full):
    page = Page(full[1])
    assert page.fetched
    assert all(address.startswith(("data:image/", "#")) for address in page.fetched)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\((?!#)|@import", full[1])


def test_every_reference_within_the_page_has_one_target(full):
    page = Page(full[1])
    targets = [a[1:] for a in page.fetched if a.startswith("#")]
    targets += re.findall(r"url\(#([^)]+)\)", full[1])
    assert set(targets) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_nothing_is_left_out_where_everything_is_there(full):
    assert "Left out" not in full[1]


def test_all_figures_lie_in_the_folder_too(full):
    names = {path.stem for path in (full[0] / "figures").iterdir()}
    assert names == {
        *("curves", "histograms", "auroc_over_lambda", "training_curves"),
        *("most_anomalous", "least_anomalous", "false_alarms", "misses"),
        *("latent_tsne", "latent_coefficients", "latent_norms"),
    }
    for path in (full[0] / "figures").iterdir():
        with Image.open(path) as image:
            assert image.width > 800


def test_facts_of_the_run_are_on_the_page(full):
    text = Page(full[1]).text
    results = json.loads((full[0] / "results.json").read_text())
    for row in results["rows"]:
        auroc = row["metrics"]["auroc"]
        assert f"{auroc['value']:.3f} {auroc['low']:.3f} – {auroc['high']:.3f}" in text
    for expected in [
        "90 images, 9 of them known contaminants (γ = 2 %)",
        "30 normal, 30 anomalous images",
        "last weights, moving average",
        "98 % quantile of unlabelled training images",
        "The critic ran away",
        "Three files could not be read.",
        "Published figures: Berg et al., Table 1.",
        "ln: Ln is printed as a norm over N",
        "debris $x_1",
        'use = "kth-cellvideos"',
        "plugins.anokit-pgan",
        "120,000 images · grow-32",
        "selected by the test labels and is no result",
    ]:
        assert expected in text


def test_false_alarms_stand_beside_what_was_promised(full):
    page = full[1]
    headers = re.findall(r"<thead>(.*?)</thead>", page, re.DOTALL)
    names = [re.findall(r">([^<]+)</th>", header) for header in headers]
    promised = ["False alarms promised", "False alarms measured", "Anomalies found", "Threshold"]
    assert names[0] == [
        *("Score", "AUROC", "AP", "FPR at 95 % TPR", "F1", "F1 max, label-selected"),
        *("ms per image", "Published AUROC"),
    ]
    assert names[1] == ["Score", *promised]
    row = json.loads((full[0] / "results.json").read_text())["rows"][0]
    fpr, tpr = row["metrics"]["fpr"], row["metrics"]["tpr"]
    expected = " ".join(
        f"{100 * e['value']:.1f} % {100 * e['low']:.1f} – {100 * e['high']:.1f} %"
        for e in (fpr, tpr)
    )
    assert f"proposed 10 % {expected} {row['threshold']:.4g}" in Page(page).text


def test_run_from_before_promises_were_measured_has_no_table_of_them(full, bare):
    results = json.loads((full[0] / "results.json").read_text())
    for row in results["rows"]:
        del row["metrics"]["fpr"], row["metrics"]["tpr"]
    changed(full[0], bare, rows=results["rows"])
    text = page_of(bare).text
    assert "AUROC" in text
    assert "False alarms measured" not in text


def test_text_of_the_run_is_escaped(full):
    assert "Cells &lt;in&gt; wells" in full[1]
    assert "<in>" not in full[1]


def test_figures_take_the_colours_of_the_page(full):
    svgs = re.findall(r"<svg.*?</svg>", full[1], re.DOTALL)
    assert len(svgs) == 11
    assert any("var(--anomalous)" in svg and "currentColor" in svg for svg in svgs)
    assert not any("#22262b" in svg for svg in svgs)


def test_primary_comes_first_and_baselines_last(full):
    styles = re.findall(r'<tr class="([a-z ]+)">', full[1])
    assert styles[:5] == ["primary", "score", "score", "baseline rule", "baseline"]


def test_report_is_the_same_when_made_again(full, bare):
    changed(full[0], bare)
    (bare / "scores.csv").write_bytes((full[0] / "scores.csv").read_bytes())
    once = write_report(bare).read_text(encoding="utf-8")
    assert "<svg" in once
    assert write_report(bare).read_text(encoding="utf-8") == once


def test_bare_run_has_no_empty_section_and_says_why(bare):
    page = write_report(bare).read_text(encoding="utf-8")
    # Choices and health always has something to say.
    assert re.findall(r"<h2>([^<]+)</h2>", page) == ["Choices and health", "Left out"]
    reasons = re.findall(r"<li>([^<]+)</li>", page)
    assert "Results. Metrics need a test set with labelled normal and anomalous images." in reasons
    # That one; and a comparison, a refinement and explanations, for which there is no cause.
    assert len(reasons) == len(UNLABELLED) - 4
    assert all(reason.endswith(".") for reason in reasons)
    assert not list(bare.glob("figures/*"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"data": "simulated"}, "Simulated data."),
        ({"quick": True}, "Quick run."),
        ({"quick": True}, "It shows the path, not the quality."),
        (
            {"rows": [{"name": "lo", "batch": "stddev over the batch"}]},
            "stddev over the batch (lo)",
        ),
        ({"rows": [{"name": "lo", "selection": "best epoch"}]}, "best epoch (lo)"),
    ],
)
def test_banner_says_what_must_be_known_first(full, bare, values, expected):
    changed(full[0], bare, **values)
    text = page_of(bare).text
    assert expected in text
    assert text.index(expected) < text.index("Choices and health")


@pytest.mark.parametrize(
    "values", [{"data": "simulated"}, {"quick": True}, {"published_source": None}]
)
def test_published_figures_stand_only_beside_full_runs_on_real_data(full, bare, values):
    changed(full[0], bare, **values)
    assert "Published" not in page_of(bare).text


def test_test_set_of_one_class_has_scores_but_no_metrics(full, bare):
    changed(full[0], bare, test_anomalous=0, rows=[{"name": "lo"}], primary="lo")
    (bare / "scores.csv").write_text("id,label,kind,lo\na,0,,1.0\nb,0,,2.0\nc,,,3.0\n")
    text = page_of(bare).text
    assert "Metrics need a test set with labelled normal and anomalous images." in text
    assert "AUROC" not in text
    assert (bare / "figures" / "histograms.png").exists()


def test_gallery_without_reconstruction_or_map(full, bare):
    changed(full[0], bare)
    (bare / "scores.csv").write_bytes((full[0] / "scores.csv").read_bytes())
    kept = {k: v for k, v in read_run(full[0]).arrays.items() if k in GALLERY}
    save_file({k: np.ascontiguousarray(v) for k, v in kept.items()}, bare / "report.safetensors")
    page = page_of(bare)
    assert "query" in page.labels
    assert "reconstruction" not in page.labels
    assert "residual map" not in page.labels
    assert "Look at whether the reconstruction" not in page.text


GALLERY = ("gallery_index", "gallery_image")


@pytest.mark.parametrize("shift", [-3.0, -0.001, 0.0])
def test_maps_of_standardised_scores_may_be_negative(full, bare, shift):
    for name in ("results.json", "scores.csv"):
        (bare / name).write_bytes((full[0] / name).read_bytes())
    arrays = dict(read_run(full[0]).arrays)
    arrays["gallery_map"] = 0.01 * arrays["gallery_map"] / arrays["gallery_map"].max() + shift
    save_file(arrays, bare / "report.safetensors")
    assert "residual map" in write_report(bare).read_text(encoding="utf-8")


def test_contaminants_among_the_top_are_counted(full):
    run = read_run(full[0])
    scores, known = run.arrays["train_score"], run.arrays["train_score_is_contaminant"]
    hits = int(known[np.argsort(-scores)[:9]].sum())
    assert (
        f"there are {hits} of them; a draw by chance would hold 0.9"
        in findings.contaminants_found(run)
    )


def test_terms_are_weighed_as_a_standardised_sum_takes_them(full, bare):
    results = json.loads((full[0] / "results.json").read_text())
    run = read_run(full[0])
    ln, lo = (run.arrays[f"term/proposed/{place}"] for place in (0, 1))
    results["rows"][0]["scales"] = [[0.0, float(ln.std())], [0.0, float(lo.std())]]
    changed(full[0], bare, rows=results["rows"])
    for name in ("scores.csv", "terms.json", "report.safetensors"):
        (bare / name).write_bytes((full[0] / name).read_bytes())
    sentence = findings.shares(read_run(bare), "proposed")
    assert "5 % of its spread" in sentence
    assert "nearly lo alone" not in sentence


def test_share_of_a_small_term_is_told(full):
    sentence = findings.shares(read_run(full[0]), "proposed")
    assert re.search(r"ln makes up 0\.02\d* % of the sum's size", sentence)
    assert "nearly lo alone" in sentence


def test_sweep_ends_at_the_terms_and_marks_the_recipe(full):
    run = read_run(full[0])
    sweep = findings.sweeps(run)["proposed"]
    rows = {row.name: row.metric("auroc").value for row in run.results.rows}
    assert sweep.auroc[0] == pytest.approx(rows["lo"])
    assert sweep.auroc[-1] == pytest.approx(rows["ln"])
    assert sweep.recipe == pytest.approx(0.05)


def test_latents_that_do_not_differ_get_no_tsne(full, bare):
    changed(full[0], bare)
    (bare / "scores.csv").write_bytes((full[0] / "scores.csv").read_bytes())
    save_file({"test_latent": np.ones((60, 4), np.float32)}, bare / "report.safetensors")
    assert "too few different latents for a t-SNE" in page_of(bare).text
