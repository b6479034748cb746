import anokit_anogan.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_anogan.plugin)
def test_conformance(check):
    check()
