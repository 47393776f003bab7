"""Doublings: a number that grows is said anew each time it has doubled: often enough, and never too often."""

from __future__ import annotations


def is_power_of_two(count: int) -> bool:
    """Is it 1, 2, 4, …?"""
    return count > 0 and count & (count - 1) == 0
