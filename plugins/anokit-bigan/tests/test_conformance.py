import anokit_bigan.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_bigan.plugin)
def test_conformance(check):
    check()
