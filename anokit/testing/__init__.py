"""Conformance kit: what every plugin promises, as small checks that its author runs. Imports torch.

The test file of a plugin needs three lines::

    import acme_angle.plugin
    from anokit.testing import parametrize_checks

    @parametrize_checks(acme_angle.plugin)
    def test_conformance(check):
        check()
"""

from anokit.testing.check import Check, CheckFailed, CheckWarning
from anokit.testing.collect import collect_checks, parametrize_checks
from anokit.testing.trips import random_trip

__all__ = [
    "Check",
    "CheckFailed",
    "CheckWarning",
    "collect_checks",
    "parametrize_checks",
    "random_trip",
]
