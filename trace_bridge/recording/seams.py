"""Seams: methods of a framework's classes that report to the run they are called in.

Seams are counted, so plugins may install theirs for every run: the last one to leave puts every
class back as it was. Different users may need different seams; each place is counted by itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

# a class, the name of one of its own methods, and what makes a seam of that method
SeamPlace: TypeAlias = tuple[type, str, Callable[[Callable[..., Any]], Callable[..., Any]]]


@dataclass(slots=True)
class _Patch:
    original: Any
    seam: Any
    users: int = 0


class _Seams:
    """The installed seams of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.patches: dict[tuple[type, str], _Patch] = {}

    def enter(self, places: Iterable[SeamPlace]) -> list[tuple[type, str]]:
        entered: list[tuple[type, str]] = []
        with self.lock:
            for owner, name, maker in places:
                original = vars(owner).get(name)
                if original is None:
                    continue
                patch = self.patches.get((owner, name))
                if patch is None:
                    seam = functools.wraps(original)(maker(original))
                    patch = self.patches[owner, name] = _Patch(original, seam)
                    setattr(owner, name, seam)
                patch.users += 1
                entered.append((owner, name))
        return entered

    def leave(self, entered: Iterable[tuple[type, str]]) -> None:
        with self.lock:
            for owner, name in entered:
                patch = self.patches[owner, name]
                patch.users -= 1
                if patch.users:
                    continue
                del self.patches[owner, name]
                if vars(owner).get(name) is patch.seam:  # else somebody patched over it
                    setattr(owner, name, patch.original)


_seams = _Seams()


@contextmanager
def seams_installed(places: Callable[[], Iterable[SeamPlace]]) -> Generator[None]:
    """Have these seams installed; entering again only counts.

    A class that does not define the method itself is left as it is.
    """
    entered = _seams.enter(places())
    try:
        yield
    finally:
        _seams.leave(entered)


def subclasses(kind: type) -> Iterator[type]:
    """``kind`` and all classes below it that exist by now, each once."""
    pending, seen = [kind], set[type]()
    while pending:
        found = pending.pop()
        if found not in seen:
            seen.add(found)
            yield found
            pending += found.__subclasses__()
