"""The names of parameters: ``owner/child:slot``, for native modules and frameworks alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

ROOT = "self"  # the owner of what the agent itself holds


def escape(name: str) -> str:
    """``name`` as one step of a path: ``%``, ``/`` and ``:`` are percent-escaped."""
    return name.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")


def join_path(owners: Sequence[str], slot: str) -> str:
    """The path of ``slot`` below the chain of ``owners`` (none means the agent itself)."""
    return "/".join(map(escape, owners or (ROOT,))) + ":" + escape(slot)


def below(owners: Sequence[str], path: str) -> str:
    """The path, below ``owners``, of what has ``path`` in an agent that was found there."""
    inner, _, slot = path.rpartition(":")
    step = "" if inner == ROOT else f"/{inner}"
    return "/".join(map(escape, owners)) + f"{step}:{slot}"


def select(paths: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The paths that are, or match, any of the globs, in their own order.

    Raises:
        LookupError: if a pattern matches nothing; the message lists what there is.
    """
    known = list(paths)
    for pattern in patterns:
        if not any(_fits(path, pattern) for path in known):
            listing = "\n  ".join(known) or "(none)"
            msg = f"trainable={pattern!r} matches no parameter; there are:\n  {listing}"
            raise LookupError(msg)
    return [path for path in known if any(_fits(path, pattern) for pattern in patterns)]


def _fits(path: str, pattern: str) -> bool:
    return path == pattern or fnmatchcase(path, pattern)  # a name may have brackets
