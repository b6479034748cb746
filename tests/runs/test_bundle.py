"""Finished runs put to the test, and packed for others."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from anokit.errors import UsageError
from anokit.runs.bundle import CARD, bundle, model_card
from anokit.runs.gathering import find_runs
from anokit.runs.verify import verify
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_tensors, save_tensors


@pytest.fixture
def copy(finished, tmp_path):
    """Return a copy of a finished run in a folder of runs."""
    return shutil.copytree(finished, tmp_path / "runs" / "one")


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")


def test_stored_weights_give_the_stored_figures(finished, toys_file):
    found = verify(finished, plugins=[toys_file])
    assert found.problems == ()
    assert found.largest == 0  # on one machine to the bit
    assert (found.images, found.scores) == (len(RunDirectory(finished).read_scores().ids), 3)
    assert "as stored, to the bit" in found.in_words


def test_other_weights_are_found_out(copy, toys_file):
    path = copy / "model.safetensors"
    tensors = load_tensors(path)
    tensors["encoder.weight"] = tensors["encoder.weight"] * 1.5
    save_tensors(path, tensors)
    assert "its SHA-256 is" in verify(copy, plugins=[toys_file]).problems[0]
    results = json.loads((copy / "results.json").read_text())
    (copy / "results.json").write_text(
        json.dumps(results | {"files": {}})
    )  # not recorded, or forged
    found = verify(copy, plugins=[toys_file])
    assert any("scores differ by up to" in text for text in found.problems), found


def test_a_figure_that_was_made_up_is_found_out(copy, toys_file):
    results = json.loads((copy / "results.json").read_text())
    results["rows"][0]["metrics"]["auroc"]["value"] = 0.5
    (copy / "results.json").write_text(json.dumps(results))
    found = verify(copy, plugins=[toys_file])
    assert len(found.problems) == 1
    assert "auroc is stored as 0.5000, measured" in found.problems[0]


def test_a_table_of_other_images_and_other_data_are_found_out(copy, toys_file):
    table = copy / "scores.csv"
    text = table.read_text()
    table.write_text(text.replace(RunDirectory(copy).read_scores().ids[0], "elsewhere.png", 1))
    assert "other test images" in verify(copy, plugins=[toys_file]).problems[0]
    split = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps(split | {"fingerprint": "0" * 64}))
    assert "the data changed" in verify(copy, plugins=[toys_file]).problems[0]
    (copy / "split.json").write_text("{")
    assert "damaged" in verify(copy, plugins=[toys_file]).problems[0]


def test_the_command_fails_where_a_run_differs(copy, finished, toykit, tmp_path):
    shutil.copytree(finished, tmp_path / "runs" / "two")
    found = toykit("sweep", "--verify", tmp_path / "runs")
    assert found.code == 0, found.out
    assert found.out.count("as stored") == 2
    text = (copy / "scores.csv").read_text().splitlines()
    (copy / "scores.csv").write_text("\n".join([text[0], *text[2:]]) + "\n")
    found = toykit("sweep", "--verify", tmp_path / "runs")
    assert found.code == 1
    assert "differs" in found.out
    assert found.out.count("as stored") == 1


def test_the_archive_holds_all_that_another_needs(copy, tmp_path):
    (copy / "checkpoint").mkdir()
    (copy / "checkpoint" / "last.safetensors").write_bytes(b"x")
    path = bundle(tmp_path / "runs")
    assert path == tmp_path / "runs.zip"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
        assert archive.read("one/model.safetensors") == (copy / "model.safetensors").read_bytes()
    assert {CARD} | {
        f"one/{name}"
        for name in (
            "recipe.toml",
            "resolved.json",
            "environment.json",
            "split.json",
            "scores.csv",
            "results.json",
            "report.html",
            "model.safetensors",
        )
    } <= names
    assert not [name for name in names if "checkpoint" in name or ".lock" in name]
    again = bundle(tmp_path / "runs", tmp_path / "again.zip")
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(UsageError, match="lies in the folder"):
        bundle(tmp_path / "runs", tmp_path / "runs" / "x.zip")
    with pytest.raises(UsageError, match="no finished run"):
        bundle(tmp_path / "runs" / "one" / "checkpoint")


def test_the_card_is_one_that_the_hub_reads(copy, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub comes with timm")
    card = hub.ModelCard(model_card(tmp_path / "runs", find_runs([tmp_path / "runs"])))
    data = card.data.to_dict()
    assert data["library_name"] == "anokit"
    (entry,) = card.data.eval_results
    row = json.loads((copy / "results.json").read_text())["rows"][0]
    assert entry.metric_type == "roc_auc"
    assert np.isclose(entry.metric_value, row["metrics"]["auroc"]["value"], atol=1e-4)
    for heading in ("Data", "Metrics", "Intended use", "Limits"):
        assert f"\n## {heading}\n" in card.text
    assert "Contamination γ of the training set: 10 %. Seeds: 3." in card.text
