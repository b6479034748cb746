"""The networks and Adam once more, of plain functions of lists of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as fn

Weights = list[Tensor]
"""Of a network in the order of its layers, each layer's weight before its bias."""


def of(*networks: torch.nn.Module) -> Weights:
    """Return copies of all weights, float64, that want gradients."""
    parameters = (p for network in networks for p in network.parameters())
    return [p.detach().double().clone().requires_grad_() for p in parameters]


def encode_strided(weights: Weights, images: Tensor) -> Tensor:
    """Return what 16×16 pixels become in two convolutions and a linear layer, without tanh."""
    it = iter(weights)
    hidden = images
    for _ in range(2):
        hidden = _relu_of_batch_norm(fn.conv2d(hidden, next(it), stride=2, padding=1), it)
    return fn.linear(hidden.flatten(1), next(it), next(it))


def decode_strided(weights: Weights, latent: Tensor) -> Tensor:
    """Return 16×16 pixels of a latent, by a linear layer and two transposed convolutions."""
    it = iter(weights)
    hidden = _relu_of_batch_norm(fn.linear(latent, next(it)), it)
    hidden = hidden.reshape(len(latent), -1, 4, 4)
    doubled = fn.conv_transpose2d(hidden, next(it), stride=2, padding=1, output_padding=1)
    hidden = _relu_of_batch_norm(doubled, it)
    last = fn.conv_transpose2d(hidden, next(it), next(it), stride=2, padding=1, output_padding=1)
    return torch.tanh(last)


def encode_lenet(weights: Weights, images: Tensor) -> Tensor:
    """Return what 16×16 pixels become in two convolutions with pooling and a linear layer."""
    first, second, last = weights
    hidden = images
    for weight in (first, second):
        hidden = _leaky(_normalised(fn.conv2d(hidden, weight, padding=2)))
        hidden = fn.max_pool2d(hidden, 2)
    return _normalised(fn.linear(hidden.flatten(1), last))


def decode_lenet(weights: Weights, latent: Tensor) -> Tensor:
    """Return 16×16 pixels of a latent, by three transposed convolutions."""
    *inner, last = weights
    hidden = _leaky(latent.reshape(len(latent), -1, 4, 4))
    for weight in inner:
        hidden = _leaky(_normalised(fn.conv_transpose2d(hidden, weight, padding=2)))
        hidden = hidden.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    return 2 / (1 + torch.exp(-fn.conv_transpose2d(hidden, last, padding=2))) - 1


def judge(weights: Weights, latent: Tensor) -> Tensor:
    """Return logits of the latent's discriminator: ``[B]``."""
    first, b1, second, b2, third, b3 = weights
    hidden = fn.linear(latent, first, b1).clamp_min(0)
    hidden = fn.linear(hidden, second, b2).clamp_min(0)
    return fn.linear(hidden, third, b3)[:, 0]


class Adam:
    """Kingma and Ba's algorithm 1, β = (0.9, 0.999), ε = 1e-8, with a penalty λ/2·‖w‖²."""

    def __init__(self, weights: Weights, rate: float, decay: float = 0.0) -> None:
        self.weights, self.rate, self.decay = weights, rate, decay
        self.first = [torch.zeros_like(w) for w in weights]
        self.second = [torch.zeros_like(w) for w in weights]
        self.steps = 0

    def descend(self, loss: Tensor) -> None:
        """Take a step down the gradient of ``loss``."""
        self.steps += 1
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for w, gradient, m, v in zip(
                self.weights, gradients, self.first, self.second, strict=True
            ):
                g = gradient + self.decay * w
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                m_hat, v_hat = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
                w -= self.rate * m_hat / (v_hat.sqrt() + 1e-8)


def assert_same(found: torch.nn.Module | Sequence[torch.nn.Module], expected: Weights) -> None:
    """Check that networks have these weights, to what two orders of float64 sums differ by."""
    networks = [found] if isinstance(found, torch.nn.Module) else found
    parameters = [p.detach() for network in networks for p in network.parameters()]
    torch.testing.assert_close(parameters, [w.detach() for w in expected], rtol=1e-6, atol=1e-9)


Network = Callable[[Weights, Tensor], Tensor]


def _relu_of_batch_norm(hidden: Tensor, weights: Iterator[Tensor]) -> Tensor:
    gain, bias = next(weights), next(weights)
    shape = (1, -1, *[1] * (hidden.ndim - 2))
    return (_normalised(hidden, 1e-5) * gain.view(shape) + bias.view(shape)).clamp_min(0)


def _normalised(hidden: Tensor, eps: float = 1e-4) -> Tensor:
    across = [0, *range(2, hidden.ndim)]
    mean = hidden.mean(dim=across, keepdim=True)
    variance = (hidden - mean).square().mean(dim=across, keepdim=True)
    return (hidden - mean) / (variance + eps).sqrt()


def _leaky(hidden: Tensor) -> Tensor:
    return torch.where(hidden > 0, hidden, 0.01 * hidden)
