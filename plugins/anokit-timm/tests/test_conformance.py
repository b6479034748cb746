import anokit_timm.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_timm.plugin)
def test_conformance(check):
    check()
