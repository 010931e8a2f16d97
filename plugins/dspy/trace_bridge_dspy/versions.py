"""Which DSPy versions this plugin works with.

Exercised: 3.0.4 and 3.4.1. Before 3.0, ``dspy.context`` leaks between asyncio tasks, so concurrent
candidates would see each other's settings.
"""

from __future__ import annotations

import functools
import re
import warnings
from importlib.metadata import PackageNotFoundError, version

OLDEST = (3, 0)
NEWEST = (3, 4)


class UnsupportedVersionError(RuntimeError):
    """The installed DSPy is too old; the message names the remedy."""


@functools.cache
def dspy_version() -> str:
    """The installed version of DSPy, as its metadata has it."""
    for distribution in ("dspy", "dspy-ai"):  # dspy-ai is the older name, an alias since 2.6
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "0"


@functools.cache
def require() -> None:
    """Check the version, once per process.

    Raises:
        UnsupportedVersionError: for a version older than the oldest that works.
    """
    check(dspy_version())


def check(found: str) -> None:
    """Raise for a version that cannot work, warn about one that nobody has tried."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers < OLDEST:
        msg = (
            f"trace-bridge-dspy needs DSPy {OLDEST[0]}.{OLDEST[1]} or newer, found {found}:"
            " pip install -U 'dspy>=3.0'"
        )
        raise UnsupportedVersionError(msg)
    if numbers > NEWEST:
        warnings.warn(
            f"DSPy {found} is newer than {NEWEST[0]}.{NEWEST[1]}, the newest that"
            " trace-bridge-dspy was tested with",
            stacklevel=4,
        )
