from dataclasses import replace

import anokit_memory.plugin
from anokit.testing import parametrize_checks, random_trip


def planted():
    """Return ordinary trips with bright images, and trips with dark ones that lie far off."""
    plain, odd = random_trip(60), random_trip(6, seed=3)
    far = replace(
        odd, image=0.2 * odd.image - 0.5, features=odd.features + 5, patches=odd.patches + 5
    )
    return replace(plain, image=0.2 * plain.image + 0.5), far


names = [component.name for component in anokit_memory.plugin.anokit_scores()]


@parametrize_checks(anokit_memory.plugin, samples=dict.fromkeys(names, planted))
def test_conformance(check):
    check()
