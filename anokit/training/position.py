"""How far training has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Position:
    """How far training has come."""

    phase: int = 0
    step: int = 0
    """steps done in the phase"""
    shown: int = 0
    """training images shown in all"""
    seconds: float = 0.0
    """time spent in training, over all resumes"""
    afresh: bool = False
    """whether this is the second time through all phases, with new weights"""
