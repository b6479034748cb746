import anokit_scores.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_scores.plugin)
def test_conformance(check):
    check()
