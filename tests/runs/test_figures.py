"""Figures of finished runs: what is drawn of which run, what is computed again, what is refused."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from anokit.errors import UsageError
from anokit.report.panel_grid import Place
from anokit.runs.figure_kinds import KINDS, Wish
from anokit.runs.figure_runs import query_sets, shown_runs
from anokit.runs.figures import draw_figures
from anokit.runs.gathering import find_runs
from anokit.runs.trips_again import TripsAgain
from anokit.store.run_directory import RunDirectory
from anokit.store.tensors import load_tensors

SMALL = ("backbone.images=16", "dataset.test=20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, finish_plainly):
    """One system: clean with two seeds, and contaminated, under another recipe's name."""
    folder = tmp_path_factory.mktemp("runs")
    finish_plainly(folder / "a-clean-4", *SMALL, "seed=4")
    finish_plainly(folder / "b-clean-3", *SMALL)
    finish_plainly(folder / "c-dirty", *SMALL, "dataset.contamination=0.1", recipe="toys_10pct")
    return folder


@pytest.fixture(scope="module")
def drawn(folder, tmp_path_factory, toys_file):
    """Everything, drawn of `folder`."""
    out = tmp_path_factory.mktemp("drawn")
    return out, draw(folder, out, toys_file)


def draw(folder, out, toys_file, **wish):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANOKIT_PLUGINS", "")
        return draw_figures([folder], out, Wish(**wish), device="cpu", plugins=[toys_file])


@pytest.fixture
def alone(finish_plainly, tmp_path, toys_file):
    """Draw of one run of the toys, changed, alone: what there is, and the reasons."""

    def go(*settings, **wish):
        run = finish_plainly(tmp_path / "run", *SMALL, *settings)
        return draw(run, tmp_path / "out", toys_file, **wish)

    return go


@pytest.fixture
def again(folder, toys_file, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    return lambda run: TripsAgain(run, device="cpu", plugins=[toys_file])


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def captions(found):
    return {one.kind: one for one in found.figures}


def test_everything_is_drawn_and_a_second_time_to_the_byte(drawn, folder, tmp_path, toys_file):
    out, found = drawn
    assert {path.name for path in out.iterdir()} == {"figures.md", *(f"{k}.svg" for k in KINDS)}
    assert found.not_drawn == {}
    draw(folder, tmp_path, toys_file)
    assert digests(out) == digests(tmp_path)


def test_captions_say_what_each_panel_shows(drawn, folder):
    out, found = drawn
    clean, dirty = captions(found)["tsne"].panels
    assert (clean.panel, clean.system, clean.contamination) == ("(a)", "toys", 0.0)
    assert (clean.run, clean.seed) == ((folder / "b-clean-3").as_posix(), 3)  # the lowest seed
    assert (clean.protocol, clean.backbone) == ("toy", "linear")
    assert (clean.encoder_losses, clean.recipe) == (["shrink"], "toys")
    assert (clean.normal, clean.anomalous, clean.of) == (20, 20, 40)
    assert clean.values == "latents as the run stored them; perplexity 11.1"
    # One system, called by the recipe of its lowest contamination.
    assert (dirty.panel, dirty.system, dirty.recipe) == ("(b)", "toys", "toys_10pct")
    curve = captions(found)["contamination"]
    assert [(one.system, one.seed) for one in curve.panels] == [
        ("toys", 4),
        ("toys", 3),
        ("toys", 3),
    ]
    assert all(one.values.startswith("AUROC of error: ") for one in curve.panels)
    text = (out / "figures.md").read_text()
    assert (
        f"| (b) | toys (linear, encoder trained by shrink) | 10 % | {folder}/c-dirty | 3 |" in text
    )
    for kind in KINDS:
        assert f"## {kind}.svg" in text


def test_losses_are_those_of_the_formulae(folder, again, toys):
    run = folder / "b-clean-3"
    ids = ["test/7", "test/0", "test/31"]
    weights = {k: v.double().numpy() for k, v in load_tensors(run / "model.safetensors").items()}
    split = toys.Blobs(toys.BlobOptions(test=20)).test
    expected = []
    for name in ids:
        image = split[int(name.partition("/")[2])].image.double().numpy().ravel() / 127.5 - 1
        latent = weights["encoder.weight"] @ image + weights["encoder.bias"]
        hat = weights["decoder.weight"] @ latent + weights["decoder.bias"]
        latent_hat = weights["encoder.weight"] @ hat + weights["encoder.bias"]
        expected.append([np.abs(image - hat).mean(), np.abs(latent - latent_hat).mean()])
    assert again(run).losses(ids) == pytest.approx(np.array(expected), rel=1e-4)


def test_pictures_are_the_queries_and_what_the_model_makes_of_them(folder, again, toys):
    run = again(folder / "b-clean-3")
    images, hats = run.pictures(["test/5", "test/2"])
    split = toys.Blobs(toys.BlobOptions(test=20)).test
    assert [image.tolist() for image in images] == [split[n].image.tolist() for n in (5, 2)]
    assert hats.shape == images.shape
    assert (hats != images).any()


def test_latents_that_a_run_did_not_store_are_computed_again(
    folder, again, tmp_path, toys_file, monkeypatch
):
    run = shutil.copytree(folder / "b-clean-3", tmp_path / "run")
    directory = RunDirectory(run)
    stored = load_tensors(directory.exhibits)["test_latent"].numpy()
    ids = list(directory.read_scores().ids)
    assert again(run).latents(ids) == pytest.approx(stored, abs=1e-5)
    backwards = again(run).latents(ids[::-1])
    assert backwards == pytest.approx(stored[::-1], abs=1e-5)
    directory.exhibits.unlink()
    found = draw(run, tmp_path / "out", toys_file, kinds=["histograms"])
    (panel,) = captions(found)["histograms"].panels
    assert panel.values == "latents computed again from the stored weights"


def test_of_an_image_that_is_cut_the_tile_with_the_largest_score_is_shown(
    finish_plainly, again, tmp_path
):
    run = finish_plainly(tmp_path / "run", *SMALL, "dataset.test_tiles=4")
    directory = RunDirectory(run)
    stored = load_tensors(directory.exhibits)["test_latent"].numpy()
    ids = list(directory.read_scores().ids)
    assert len(ids) == 10
    some = [ids[n] for n in (7, 2)]
    assert again(run).latents(some) == pytest.approx(stored[[7, 2]], abs=1e-5)


def test_queries_are_half_normal_and_chosen_by_their_ids_alone(drawn, folder):
    _, found = drawn
    queries = captions(found)["matches"].queries
    table = RunDirectory(folder / "b-clean-3").read_scores()
    labels = dict(zip(table.ids, table.labels.tolist(), strict=True))
    assert [labels[name] for name in queries] == [0] * 4 + [1] * 4
    order = sorted(table.ids, key=lambda name: hashlib.sha256(name.encode()).digest())
    assert queries[:4] == [name for name in order if labels[name] == 0][:4]
    assert [one.panel for one in captions(found)["matches"].panels] == ["(a)", "(b)"]


def test_systems_share_queries_where_their_test_sets_do(
    folder, finish_plainly, tmp_path, toys_file
):
    for name in ("b-clean-3", "c-dirty"):
        shutil.copytree(folder / name, tmp_path / name)
    other = ("dataset.gray=9", "backbone.latent=3")  # images of the same ids and labels
    finish_plainly(tmp_path / "d-other", *SMALL, *other, recipe="other")
    finish_plainly(tmp_path / "e-none", *SMALL, "dataset.labels='none'", recipe="none")
    sets = query_sets(shown_runs(find_runs([tmp_path]), {}, []), 4)
    members = [[one.run.path.name for one in runs] for _, runs in sets]
    assert sorted(map(sorted, members)) == [["b-clean-3", "c-dirty", "d-other"], ["e-none"]]
    assert all(len(ids) == 4 for ids, _ in sets)
    found = draw(tmp_path, tmp_path / "out", toys_file, kinds=["matches"], queries=4)
    matches = captions(found)["matches"]
    assert sorted(one.system for one in matches.panels) == ["none", "other", "toys", "toys"]
    assert len(matches.queries) == 3 * 4
    assert matches.queries.count(sets[0][0][0]) >= 2  # shown once for each data set


def test_most_images_of_a_panel(folder, tmp_path, toys_file):
    found = draw(folder, tmp_path, toys_file, kinds=["losses"], images=12)
    panels = captions(found)["losses"].panels
    assert [one.normal + one.anomalous for one in panels] == [12, 12]
    assert panels[0].normal == panels[1].normal  # the same images


def test_contaminations_and_names_are_chosen(folder, tmp_path, toys_file):
    names = {"toys_10pct": "Ours"}
    found = draw(folder, tmp_path, toys_file, kinds=["tsne"], gammas=[0.1], names=names)
    (panel,) = captions(found)["tsne"].panels
    assert (panel.system, panel.recipe) == ("Ours", "toys_10pct")
    with pytest.raises(UsageError, match=r"--contamination 0\.3: no run here .* 0, 0\.1"):
        draw(folder, tmp_path, toys_file, gammas=[0.3])
    with pytest.raises(UsageError, match=r"--name ours=….* toys, toys_10pct"):
        draw(folder, tmp_path, toys_file, names={"ours": "Ours"})
    with pytest.raises(UsageError, match=r"--only roc: no such figure; there are: tsne"):
        draw(folder, tmp_path, toys_file, kinds=["roc"])


def test_two_systems_of_one_recipes_name_are_told_apart(folder, finish_plainly, tmp_path):
    shutil.copytree(folder / "b-clean-3", tmp_path / "a")
    finish_plainly(tmp_path / "b", *SMALL, "backbone.latent=3")
    shown = shown_runs(find_runs([tmp_path]), {}, [])
    assert [one.place for one in shown] == [
        Place("toys, latent 4", 0.0),
        Place("toys, latent 3", 0.0),
    ]


def test_a_system_without_labels_has_no_curve_and_the_others_do(
    folder, finish_plainly, tmp_path, toys_file
):
    runs = shutil.copytree(folder, tmp_path / "runs")
    finish_plainly(runs / "none", *SMALL, "dataset.labels='none'", recipe="none")
    found = draw(runs, tmp_path / "out", toys_file, kinds=["contamination"])
    curve = captions(found)["contamination"]
    assert {one.system for one in curve.panels} == {"toys"}
    (reason,) = curve.left_out
    assert reason.startswith("none: no finished run")
    (runs / "none").rename(tmp_path / "none")
    shutil.copytree(runs / "c-dirty", runs / "d-dirty")  # the same seed twice
    with pytest.raises(UsageError, match=r"contamination: toys: .*several runs of this recipe"):
        draw(runs, tmp_path / "out", toys_file, kinds=["contamination"])


def test_what_a_model_lacks_is_said_and_nothing_else_suffers(
    folder, finish_plainly, tmp_path, toys_file
):
    shutil.copytree(folder / "b-clean-3", tmp_path / "a")
    settings = ("backbone={use='blank'}", "encoder-losses=[]", "scores=[{use='seen'}]")
    finish_plainly(tmp_path / "b", *settings, recipe="pixels")
    found = draw(tmp_path, tmp_path / "out", toys_file)
    said = captions(found)
    assert said["tsne"].left_out == ["pixels, γ = 0 %: its backbone blank has no latent."]
    assert said["matches"].left_out == [
        "pixels, γ = 0 %: its backbone blank reconstructs no image."
    ]
    assert [one.system for one in said["matches"].panels] == ["toys"]
    (reason,) = found.not_drawn.values()
    assert reason.startswith("all runs here were trained at one contamination, γ = 0 %")


def test_where_nothing_can_be_drawn_all_reasons_are_given(alone):
    with pytest.raises(UsageError) as caught:
        alone("backbone={use='blank'}", "encoder-losses=[]", "scores=[{use='seen'}]")
    text = str(caught.value)
    assert text.startswith("no figure can be drawn of these runs:\n")
    assert "tsne: no run here can be shown: its backbone blank has no latent" in text
    assert "matches: no run here reconstructs images that could be shown: its backbone" in text
    assert "contamination: all runs here were trained at one contamination" in text


def test_without_a_test_set_that_is_the_reason(alone):
    with pytest.raises(UsageError, match=r"losses: .* it scored no test image"):
        alone("dataset.test=0")


def test_without_labels_there_are_no_curves_and_points_of_one_kind(alone, tmp_path):
    found = alone("dataset.labels='none'", kinds=["tsne", "curves", "matches"], queries=5)
    assert found.not_drawn == {
        "curves": "no run here can be shown: it has no labels of both classes"
    }
    (panel,) = captions(found)["tsne"].panels
    assert (panel.normal, panel.anomalous, panel.unlabelled) == (0, 0, 40)
    assert panel.images == "40 unlabelled of 40"
    assert len(captions(found)["matches"].queries) == 5


def test_few_latents_get_no_map_and_still_a_histogram(alone):
    found = alone("dataset.test=4", kinds=["tsne", "histograms"])
    assert "too few different latents" in found.not_drawn["tsne"]
    assert [one.kind for one in found.figures] == ["histograms"]


def test_plugins_of_a_run_are_executed_only_where_they_are_trusted(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ANOKIT_PLUGINS", "")
    found = draw_figures([folder], tmp_path / "one", Wish(kinds=["tsne", "losses"]))
    assert [one.kind for one in found.figures] == ["tsne"]  # what is stored needs no plugin
    assert "nothing inside a run directory is executed" in found.not_drawn["losses"]
    found = draw_figures([folder], tmp_path, Wish(kinds=["losses"]), trust_plugins=True)
    assert [one.kind for one in found.figures] == ["losses"]


def test_other_data_than_the_run_had_are_not_drawn(folder, tmp_path, toys_file):
    run = shutil.copytree(folder / "b-clean-3", tmp_path / "run")
    split = json.loads((run / "split.json").read_text())
    (run / "split.json").write_text(json.dumps({**split, "fingerprint": "0" * 64}))
    with pytest.raises(UsageError, match="the data changed since this run began"):
        draw(run, tmp_path / "out", toys_file, kinds=["losses"])


def test_the_command_writes_draws_and_says_so(folder, toykit, tmp_path):
    runs = shutil.copytree(folder, tmp_path / "runs")
    target = tmp_path / "captions.json"
    wishes = ("--only", "histograms,losses", "--only", "matches", "--format", "pdf")
    found = toykit("figures", runs, *wishes, "--json", target, "--name", "toys=Our system")
    assert found.code == 0, found.err
    names = {"histograms.pdf", "losses.pdf", "matches.pdf", "figures.md"}
    assert {path.name for path in (runs / "figures").iterdir()} == names
    assert f"{runs / 'figures' / 'losses.pdf'}: 2 panels" in found.out
    assert f"what each shows: {runs / 'figures' / 'figures.md'}" in found.out
    content = json.loads(target.read_text())
    assert [one["kind"] for one in content["figures"]] == ["histograms", "losses", "matches"]
    assert {one["system"] for one in content["figures"][0]["panels"]} == {"Our system"}
    again = toykit("figures", runs / "a-clean-4", "--only", "contamination,tsne")
    assert again.code == 0, again.err
    assert "contamination is not drawn: all runs here were trained at one" in again.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "Ours"], "--name Ours: expected RECIPE=WORDS"),
        (["--only", "roc"], "--only roc: no such figure"),
        (["--contamination", "7"], "--contamination 7: no run here has it"),
    ],
)
def test_a_wrong_wish_is_one_error(folder, toykit, arguments, message):
    found = toykit("figures", folder, *arguments)
    assert found.code == 2
    assert found.err.startswith(f"error: {message}")


def test_a_folder_without_runs_is_one_error(toykit, tmp_path):
    assert "no finished run" in toykit("figures", tmp_path).err
    assert "no such folder" in toykit("figures", tmp_path / "nope").err
