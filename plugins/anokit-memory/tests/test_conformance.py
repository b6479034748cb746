import anokit_memory.plugin
from anokit.testing import parametrize_checks


@parametrize_checks(anokit_memory.plugin)
def test_conformance(check):
    check()
