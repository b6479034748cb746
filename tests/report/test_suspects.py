"""The report of a run without labels: suspects first, then their threshold, nothing empty."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from anokit.report import findings
from anokit.report.html import write_report
from anokit.report.reading import Run, read_run
from anokit.report.thumbnails import thumbnail
from anokit.results.rows import Results
from anokit.store.score_table import Judged, Ranking

COUNT, SHOWN = 50, 6

THRESHOLD = 2.5


def fabricate(directory, *, folder="/data/hall <2>", channels=3, size=96):
    """Write a run directory without a test set: 50 images, the first two above the threshold."""
    generator = np.random.default_rng(0)
    scores = np.sort(generator.uniform(-1, 2, COUNT))[::-1].copy()
    scores[:2] = 4.0, 3.0
    knn = generator.uniform(0, 1, COUNT)
    p_values = np.arange(1, COUNT + 1) / COUNT
    names = [f"{folder}/cell_{at:03d}.png" for at in range(COUNT)]
    none = np.zeros(COUNT, bool)
    judged = {
        "gauss": Judged(scores > THRESHOLD, p_values, THRESHOLD),
        "knn": Judged(none, p_values, 1.25),
        "pixel-pca": Judged(none, p_values, 1.5),
    }
    columns = {"gauss": scores, "knn": knn, "pixel-pca": knn}
    ranking = Ranking(names, columns, judged)
    (directory / "training_scores.csv").write_text(ranking.text(), encoding="utf-8")
    rows = [
        {"name": "gauss", "threshold": THRESHOLD, "fitted_on": COUNT, "ms_per_image": 2.0},
        {"name": "knn", "threshold": 1.25, "fitted_on": COUNT, "ms_per_image": 3.0},
        {"name": "pixel-pca", "kind": "baseline", "threshold": 1.5, "ms_per_image": 0.5},
    ]
    results = {
        "title": "A folder",
        "primary": "gauss",
        "train_images": COUNT,
        "selection": {"threshold": "conformal, for 2 % false alarms; no label was read"},
        "rows": [{**row, "false_alarms": 0.02} for row in rows],
    }
    write_json(directory, "results.json", results)
    images = generator.integers(0, 256, (SHOWN, channels, size, size), dtype=np.uint8)
    known = np.zeros(SHOWN, np.uint8)
    known[3] = 1
    arrays = {
        "train_score": generator.permutation(scores),
        "train_top_image": images,
        "train_top_score": scores[:SHOWN].copy(),
        "train_top_is_contaminant": known,
    }
    save_file(arrays, directory / "report.safetensors")
    return directory


def write_json(directory, name, value):
    (directory / name).write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    return fabricate(tmp_path)


def page_of(directory):
    return write_report(directory).read_text(encoding="utf-8")


def text_of(page):
    body = page.partition("<body>")[2].replace("<wbr>", "")
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def headings(page):
    return re.findall(r"<h2>([^<]+)</h2>", page)


def test_suspects_come_first_then_the_threshold_then_the_scores(run):
    page = page_of(run)
    assert headings(page) == [
        "Suspicious training images",
        "Threshold and training scores",
        "Scores",
        "Choices and health",
        "Left out",
    ]
    assert (run / "figures" / "training_scores.png").exists()


def test_each_suspect_has_rank_score_p_value_mark_and_name(run):
    page = page_of(run)
    cards = re.findall(r"<li[^>]*>\s*<div class=\"picture\">.*?</li>", page, re.DOTALL)
    assert len(cards) == SHOWN == page.count("data:image/jpeg")
    shown = [text_of("<body>" + card) for card in cards]
    ranking = read_run(run).ranking
    for at, text in enumerate(shown):
        score, p_value = ranking.columns["gauss"][at], ranking.judged["gauss"].p_values[at]
        mark = {0: " flagged", 1: " flagged", 3: " known contaminant"}.get(at, "")
        facts = f"{at + 1} score {score:.4g} p {p_value:.2g}{mark}"
        assert text == f"{facts} cell_{at:03d}.png"
    assert [" class" in card.partition(">")[0] for card in cards] == [
        *(True, True, False, True, False, False)
    ]


def test_names_are_shortened_by_what_they_share_and_escaped(run):
    page = page_of(run)
    assert "names are those below /data/hall &lt;2&gt;/." in page
    assert page.count("/data/hall") == 1


@pytest.mark.parametrize("changed", ["", "/", "//", "./"])
def test_names_without_a_common_folder_are_left_whole(tmp_path, changed):
    directory = fabricate(tmp_path, folder="images")
    table = directory / "training_scores.csv"
    table.write_text(table.read_text().replace("images/", changed))
    text = text_of(page_of(directory))
    assert f" {changed}cell_000.png" in text
    assert "names are those below" not in text


def test_names_of_files_here_and_elsewhere_are_left_whole(tmp_path):
    directory = fabricate(tmp_path, folder="images")
    table = directory / "training_scores.csv"
    table.write_text(table.read_text().replace("images/cell_000", "/far/cell_000"))
    text = text_of(page_of(directory))
    assert "/far/cell_000.png" in text
    assert "images/cell_001.png" in text


def test_overlays_are_linked_where_they_are(run):
    assert "overlays" not in page_of(run)
    (run / "overlays").mkdir()
    (run / "overlays" / "index.html").touch()
    page = page_of(run)
    assert 'href="overlays/index.html"' in page
    assert "<code>overlays/index.html</code>, beside this page" in page


def test_expected_false_alarms_stand_beside_what_is_flagged(run):
    text = text_of(page_of(run))
    assert "An image counts as anomalous where gauss exceeds 2.5." in text
    assert "conformal, for 2 % false alarms; no label was read" in text
    assert (
        "2 of 50 training images are flagged; if none of them were anomalous, 1 false alarm "
        "would be expected (2 %)."
    ) in text
    assert "whatever they show" in text


def test_what_was_trimmed_is_told_instead(run):
    write_json(run, "resolved.json", {"threshold": {"trim": 0.1}})
    text = text_of(page_of(run))
    assert "The highest 10 % were left out when the threshold was chosen" in text
    assert "up to 5 more may be false alarms" in text
    assert "whatever they show" not in text


def test_scores_are_a_table_of_what_there_is(run):
    page = page_of(run)
    (header,) = re.findall(r"<thead>(.*?)</thead>", page, re.DOTALL)
    assert re.findall(r">([^<]+)</th>", header) == [
        *("Score", "Threshold", "False alarms promised", "Training images flagged"),
        *("Fitted on", "ms per image"),
    ]
    lines = re.findall(r'<tr class="[^"]+">(.*?)</tr>', page, re.DOTALL)
    cells = [re.findall(r"<td>([^<]*)", line) for line in lines]
    assert cells[0] == ["gauss", "2.5", "2 %", "2", "50", "2"]
    assert cells[2] == ["pixel-pca", "1.5", "2 %", "0", "–", "0.5"]
    assert "AUROC" not in page


def test_columns_that_nothing_fills_are_left_out(run):
    results = json.loads((run / "results.json").read_text())
    for row in results["rows"]:
        del row["ms_per_image"], row["false_alarms"]
        row.pop("fitted_on", None)
    write_json(run, "results.json", results)
    (run / "training_scores.csv").unlink()
    page = page_of(run)
    (header,) = re.findall(r"<thead>(.*?)</thead>", page, re.DOTALL)
    assert re.findall(r">([^<]+)</th>", header) == ["Score", "Threshold"]
    # Without a ranking there are no names, but pictures, scores and marks.
    assert "flagged" in text_of(page)
    assert "cell_000.png" not in page


def test_left_out_says_what_is_missing(run):
    text = text_of(page_of(run)).partition("Left out")[2].rpartition("Left out")[2]
    assert "How the scores spread. No test image was scored." in text
    assert "Results. Metrics need a test set" in text


def test_a_run_that_kept_no_pictures_still_has_its_threshold(run):
    save_file({"train_score": np.linspace(-1, 3, COUNT)}, run / "report.safetensors")
    page = page_of(run)
    assert headings(page)[0] == "Threshold and training scores"
    assert "The run kept no training images for a gallery." in text_of(page)


def test_a_test_set_without_labels_is_counted(run):
    (run / "scores.csv").write_text("id,label,kind,gauss\na,,,1.0\nb,,,2.0\nc,,,3.0\n")
    page = page_of(run)
    assert "3 images, no labels" in text_of(page)
    assert "How the scores spread" in headings(page)


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [
        ((3, 96, 48), "jpeg", (48, 96)),
        ((3, 960, 480), "jpeg", (160, 320)),
        ((1, 8, 8), "png", (8, 8)),
        ((5, 64, 20), "png", (20, 64)),
    ],
)
def test_thumbnails_are_bounded_and_small_ones_keep_their_pixels(shape, kind, size):
    address, *found = thumbnail(np.full(shape, 90, np.uint8))
    assert address.startswith(f"data:image/{kind};base64,")
    assert tuple(found) == size


@pytest.mark.parametrize(
    ("rate", "count", "expected"), [(0.01, 5000, "50"), (0.01, 250, "2.5"), (0.05, 10, "0.5")]
)
def test_expected_numbers_are_short(tmp_path, rate, count, expected):
    run = Run(tmp_path, Results())
    row = Results.model_validate({"rows": [{"name": "a", "false_alarms": rate}]}).rows[0]
    sentence = findings.expected(run, row, count, 1)
    assert sentence.startswith(f"1 of {count:,} training images is flagged; if none of them")
    assert f", {expected} false alarms would" in sentence


def test_flags_are_those_of_the_ranking_also_of_an_image_at_the_threshold(run):
    table = run / "training_scores.csv"
    lines = table.read_text().splitlines()
    assert lines[3].split(",")[2] == "0"
    name, rank, _, rest = lines[3].split(",", 3)
    lines[3] = f"{name},{rank},1,{rest}"
    table.write_text("\n".join(lines) + "\n")
    page = page_of(run)
    assert "3 of 50 training images are flagged" in text_of(page)
    assert page.count('<strong class="mark">flagged</strong>') == 3


def test_a_run_keeps_its_pictures_in_the_order_of_its_ranking(finished):
    found = read_run(finished)
    top = found.arrays["train_top_score"]
    assert len(top) == 6
    np.testing.assert_array_equal(found.ranking.columns["error"][: len(top)], top)
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert page.count('<div class="picture">') == len(top)
    assert "Left out" in page
