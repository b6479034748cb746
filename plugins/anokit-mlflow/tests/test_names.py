"""What things are called in MLflow."""

from anokit_mlflow.names import figures, metric_name, parameters


def test_a_name_is_one_that_mlflow_takes():
    assert metric_name("lr", "auroc") == "lr/auroc"
    assert metric_name("lr", "by_kind", "dent & scratch (α)") == "lr/by_kind/dent _ scratch _α_"
    assert metric_name("..", "a/b:c") == "_/a_b_c"


def test_parameters_are_flat_and_go_by_name():
    recipe = {
        "title": "Cars",
        "seed": 3,
        "quick": False,
        "dataset": {"use": "digits", "normal": [0, 1], "root": None},
        "scores": [{"name": "both", "terms": [{"use": "ln", "weight": 0.5}, {"use": "lo"}]}],
        "requires": [],
        "text": "x" * 2000,
    }
    found = parameters(recipe)
    assert found.pop("text") == "x" * 500
    assert found == {
        "title": "Cars",
        "seed": "3",
        "quick": "false",
        "dataset.use": "digits",
        "dataset.normal": "[0, 1]",
        "scores.both.name": "both",
        "scores.both.terms.0.use": "ln",
        "scores.both.terms.0.weight": "0.5",
        "scores.both.terms.1.use": "lo",
        "requires": "[]",
    }


def test_figures_come_with_their_intervals_and_what_was_not_measured_is_left_out():
    auroc = {"value": 0.9, "low": 0.8, "high": 0.95}
    rows = [
        {
            "name": "lr",
            "threshold": 1.5,
            "metrics": {"auroc": auroc, "f1": None},
            "pixel": {"aupro": auroc},
            "by_kind": {"dent": 0.7, "hole": None},
            "ms_per_image": None,
        },
        {"name": "bare", "metrics": None},
    ]
    assert figures({"rows": rows}) == {
        "lr/threshold": 1.5,
        "lr/auroc": 0.9,
        "lr/auroc_low": 0.8,
        "lr/auroc_high": 0.95,
        "lr/pixel_aupro": 0.9,
        "lr/pixel_aupro_low": 0.8,
        "lr/pixel_aupro_high": 0.95,
        "lr/by_kind/dent": 0.7,
    }
