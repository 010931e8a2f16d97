"""Is a candidate really better? Paired tests on common examples, and honest words.

Differences are taken example by example, so what makes examples easy or hard cancels out. The
test flips the signs of the differences (exact for few of them, sampled with the seed for many);
the interval is a percentile bootstrap. Both need no assumption about how scores are distributed.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Mapping, Sequence

from trace_bridge.training.records import Verdict

LEVEL = 0.05  # a held-out gain is called one if chance alone gives it less often than this
SEARCH_LEVEL = 0.25  # on validation rows: enough not to walk at random; held-out data decides
_EXACT = 12  # differences up to which all sign patterns are counted
_SAMPLES = 10_000
_RESAMPLES = 4_000


def p_value(differences: Sequence[float], seed: int = 0) -> float:
    """How often flipping signs at random gives a sum at least as large (one-sided)."""
    moved = [difference for difference in differences if difference]
    if not moved:
        return 1.0
    observed = math.fsum(moved) - 1e-12
    if len(moved) <= _EXACT:
        patterns = itertools.product((1, -1), repeat=len(moved))
        sums = [math.fsum(s * d for s, d in zip(signs, moved, strict=True)) for signs in patterns]
        return sum(total >= observed for total in sums) / len(sums)
    generator = random.Random(seed)
    hits = sum(
        math.fsum(d if generator.random() < 0.5 else -d for d in moved) >= observed
        for _ in range(_SAMPLES)
    )
    return (hits + 1) / (_SAMPLES + 1)  # never 0: the observed pattern itself counts


def interval(differences: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean difference."""
    if not differences:
        return 0.0, 0.0
    generator = random.Random(seed)
    size = len(differences)
    means = sorted(
        math.fsum(generator.choices(differences, k=size)) / size for _ in range(_RESAMPLES)
    )
    return means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES) - 1]


def detectable(differences: Sequence[float]) -> float:
    """The gain in the mean that this much data would have shown four times out of five.

    Normal approximation: (1.645 + 0.842) standard errors; without any difference, the rule of
    three for what was never seen.
    """
    size = len(differences)
    if size < 2:
        return math.inf
    spread = statistics.stdev(differences)
    return 2.487 * spread / math.sqrt(size) if spread else 3 / size


def paired(before: Mapping[int, float], after: Mapping[int, float]) -> list[float]:
    """The differences on the examples that both have, in order."""
    return [after[index] - before[index] for index in sorted(before.keys() & after.keys())]


def improves(before: Mapping[int, float], after: Mapping[int, float], seed: int = 0) -> bool:
    """Whether validation rows say that a candidate is worth going on from."""
    differences = paired(before, after)
    return math.fsum(differences) > 0 and p_value(differences, seed) <= SEARCH_LEVEL


def verdict(before: Mapping[int, float], after: Mapping[int, float], seed: int = 0) -> Verdict:
    """The verdict on held-out rows that no optimizer has seen."""
    differences = paired(before, after)
    common = sorted(before.keys() & after.keys())
    low, high = interval(differences, seed)
    p = p_value(differences, seed)
    better = bool(differences) and math.fsum(differences) > 0 and p <= LEVEL
    return Verdict(
        better=better,
        before=_mean([before[index] for index in common]),
        after=_mean([after[index] for index in common]),
        low=low,
        high=high,
        p=p,
        examples=len(common),
        detectable=detectable(differences),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
