from dataclasses import replace

import anokit_scores.plugin
from anokit.testing import parametrize_checks, random_trip


def planted():
    """Return ordinary trips, and trips that do not come back, with short latents."""
    odd = random_trip(6, seed=3)
    lost = replace(
        odd,
        image_hat=-odd.image,
        latent=0.1 * odd.latent,
        latent_hat=odd.latent_hat + 3,
        features_hat=odd.features_hat + 3,
        patches_hat=-odd.patches,
        anomaly_map=odd.anomaly_map + 5,
    )
    return random_trip(40), lost


def pale():
    """Return ordinary trips, and trips of images with little contrast."""
    odd = random_trip(6, seed=3)
    return random_trip(40), replace(odd, image=0.3 * odd.image)


names = [component.name for component in anokit_scores.plugin.anokit_scores()]


@parametrize_checks(
    anokit_scores.plugin, samples=dict.fromkeys(names, planted) | {"pixel-contrast": pale}
)
def test_conformance(check):
    check()
