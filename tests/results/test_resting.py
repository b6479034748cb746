"""Small sets say what a threshold and an interval rest on."""

import pytest

from anokit.recipe.tables import ThresholdSettings
from anokit.results.assess import assess
from anokit.results.resting import too_few
from anokit.results.thresholds import Calibration


@pytest.fixture
def found(make, job_of):
    """Assess an untrained toy recipe whose primary score is fitted by leaving parts out."""

    def build(*settings):
        return assess(job_of(make("scores.0.use=far", "scores.2.use=error", *settings)))

    return build


def test_a_threshold_by_a_score_that_knows_the_image_promises_nothing(found):
    one = found("dataset.train=1")
    assert "by a score that was fitted on them" in one.threshold_rule
    assert "it promises nothing" in one.threshold_rule
    assert "none by a score" not in one.threshold_rule
    assert one.rows[0].false_alarms is None
    assert any("promises nothing" in text for text in one.warnings)


def test_one_photograph_of_many_tiles_is_one_image(found):
    assert found("dataset.train=12", "dataset.tiles=12").rows[0].false_alarms is None


@pytest.mark.parametrize("count", [2, 3, 19])
def test_what_few_images_can_promise_is_said(found, count):
    few = found(f"dataset.train={count}")
    assert "none by a score that was fitted on the image" in few.threshold_rule
    assert few.rows[0].false_alarms == pytest.approx(1 / (count + 1))
    assert any(f"rests on {count} training images" in text for text in few.warnings)


def test_a_quantile_of_few_says_how_little_it_is():
    settings = ThresholdSettings(method="quantile", false_alarms=0.01)
    assert "less than one image" in too_few(Calibration.of(range(19), settings), 19)[0]
    assert not too_few(Calibration.of(range(100), settings), 100)


@pytest.mark.parametrize(("count", "told"), [(1, True), (9, True), (10, False)])
def test_intervals_of_few_test_images_are_told(found, count, told):
    said = found("dataset.train=100", f"dataset.test={count}").warnings
    assert any(f"rest on {count} normal and {count} anomalous" in text for text in said) == told
