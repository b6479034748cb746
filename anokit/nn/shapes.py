"""One shape check with one wording, for the boundaries between components."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

__all__ = ["assert_shape"]


def assert_shape(tensor: Tensor, expected: Sequence[int | None], name: str = "tensor") -> None:
    """Raise ``ValueError`` unless ``tensor`` has the expected shape.

    Parameters
    ----------
    tensor
        What was handed over.
    expected
        One entry per dimension; None stands for any size: ``(None, 3, 32, 32)``.
    name
        What the message calls the tensor.

    Raises
    ------
    ValueError
        Saying what was expected and what was got.
    """
    got = tuple(tensor.shape)
    fits = len(got) == len(expected) and all(
        want in (None, size) for want, size in zip(expected, got, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in expected)
        raise ValueError(f"{name}: expected shape [{wanted}], got {list(got)}")
