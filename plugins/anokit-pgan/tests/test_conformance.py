import anokit_pgan.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_pgan.plugin)
def test_conformance(check):
    check()
