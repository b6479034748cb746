"""EGBAD: a BiGAN whose averaged networks detect anomalies."""

from __future__ import annotations

from anokit_bigan.bigan import BiGAN


class EGBAD(BiGAN):
    """The networks and steps of `BiGAN` on EGBAD's schedule; scoring uses averages of all three.

    The published score is 0.9 · Σ|x − G(E(x))| + 0.1 · a term of the discriminator: Σ|f(x, E(x)) −
    f(G(E(x)), E(x))|, or the cross-entropy of D(G(E(x)), E(x)) with 1. In a recipe these are terms
    of ``residual`` and ``feature-residual``, both with norm l1 and reduction sum, or of
    ``critic-cross-entropy``.

    Source: Zenati et al., Efficient GAN-Based Anomaly Detection (2018), and its released code.
    """

    name = "egbad"
