import anokit_skip.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_skip.plugin)
def test_conformance(check):
    check()
