"""Splitting data: what the optimizer learns from, what chooses, and what decides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

MINIMUM = 3  # examples without which no split makes sense


class Split(NamedTuple):
    """Three disjoint sets of examples."""

    train: list[Any]
    validation: list[Any]
    test: list[Any]


def split(
    trainset: Sequence[Any], valset: Sequence[Any] | None, testset: Sequence[Any] | None,
    *, seed: int, evaluations: int,
) -> Split:  # fmt: skip
    """Draw from ``trainset`` whatever set is absent, with the seed.

    Held-out examples take three tenths of the data and validation as much, but no more than a
    fifth and a sixth of the ``evaluations`` that the run may make: the held-out set is evaluated
    twice, and the validation set once for each candidate that gets that far.

    Raises:
        ValueError: for empty data, or too little of it; the message says what to do.
    """
    for name, given in (("trainset", trainset), ("valset", valset), ("testset", testset)):
        if given is not None and len(given) == 0:
            msg = f"{name} is empty: pass at least one example, or leave {name} out"
            raise ValueError(msg)
    missing = (valset is None) + (testset is None)
    if missing and len(trainset) < MINIMUM:
        msg = (
            f"trainset has {len(trainset)} examples, too few to draw validation and held-out"
            f" examples from: pass at least {MINIMUM}, or valset= and testset="
        )
        raise ValueError(msg)
    rest = list(trainset)
    if missing:
        random.Random(seed).shuffle(rest)
    share = max(1, round(len(rest) * 0.3))
    test, validation = list(testset or ()), list(valset or ())
    if testset is None:
        size = max(1, min(share, evaluations // 5))
        test, rest = rest[:size], rest[size:]
    if valset is None:
        size = max(1, min(share, len(rest) - 1, evaluations // 6))
        validation, rest = rest[:size], rest[size:]
    return Split(rest, validation, test)
