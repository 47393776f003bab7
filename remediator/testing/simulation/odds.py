"""How often what goes wrong in one seed's story. Owns the choice; what is done about it is the plant's."""

from __future__ import annotations

from random import Random

import msgspec


class Odds(msgspec.Struct, frozen=True):
    """Probabilities at one occasion each.

    pause: that a pause is one; coarse schedules find other faults than fine ones, and sooner.
    crash, stall: that a process is killed or stands still, at any of its pauses.
    store_fault: that a call of the store fails. freeze: that somebody presses it on seeing a retry come.
    loss: that an event never reaches the topic.
    """

    pause: float
    crash: float
    stall: float
    store_fault: float
    freeze: float
    loss: float


def choose_odds(random: Random) -> Odds:
    """What a seed's random numbers make of it; takes six of them, always in this order."""
    pause = random.choice([0.25, 0.5, 1.0])
    return Odds(
        pause=pause,
        crash=random.choice([0.0, 0.002, 0.01]) / pause,
        stall=random.choice([0.0, 0.0005, 0.003]) / pause,
        store_fault=random.choice([0.0, 0.0, 0.01]),
        freeze=random.choice([0.0, 0.0, 0.3]),
        loss=random.choice([0.0, 0.1]),
    )
