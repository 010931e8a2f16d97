"""Seams: methods of a framework's classes that report to the run they are called in.

Seams are counted, so plugins may install theirs for every run: the last one to leave puts every
class back as it was. Different users may need different seams; each place is counted by itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

# a class, the name of one of its own methods, and what makes a seam of that method
SeamPlace: TypeAlias = tuple[type, str, Callable[[Callable[..., Any]], Callable[..., Any]]]


@dataclass(slots=True)
class _Patch:
    original: Any
    installed: Any = None
    users: dict[int, int] = field(default_factory=dict[int, int])  # by layer
    makers: dict[int, Callable[[Any], Any]] = field(default_factory=dict[int, Callable[[Any], Any]])

    def seam(self) -> Any:
        """The original with a seam of each layer around it; the original if there is none."""
        made = self.original
        for layer in sorted(self.users):
            made = functools.wraps(self.original)(self.makers[layer](made))
        return made


class _Seams:
    """The installed seams of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.patches: dict[tuple[type, str], _Patch] = {}

    def enter(self, places: Iterable[SeamPlace], layer: int) -> list[tuple[type, str]]:
        entered: list[tuple[type, str]] = []
        with self.lock:
            for owner, name, maker in places:
                original = vars(owner).get(name)
                if original is None:
                    continue
                patch = self.patches.setdefault((owner, name), _Patch(original, original))
                first = layer not in patch.users
                patch.users[layer] = patch.users.get(layer, 0) + 1
                entered.append((owner, name))
                if first:
                    patch.makers[layer] = maker
                    self._renew(owner, name, patch)
        return entered

    def leave(self, entered: Iterable[tuple[type, str]], layer: int) -> None:
        with self.lock:
            for owner, name in entered:
                patch = self.patches[owner, name]
                patch.users[layer] -= 1
                if patch.users[layer]:
                    continue
                del patch.users[layer]
                self._renew(owner, name, patch)
                if not patch.users:
                    del self.patches[owner, name]

    def _renew(self, owner: type, name: str, patch: _Patch) -> None:
        if vars(owner).get(name) is patch.installed:  # else somebody patched over it
            patch.installed = patch.seam()
            setattr(owner, name, patch.installed)


_seams = _Seams()


@contextmanager
def seams_installed(places: Callable[[], Iterable[SeamPlace]], layer: int = 0) -> Generator[None]:
    """Have these seams installed; entering again only counts.

    A class that does not define the method itself is left as it is.

    Args:
        places: where the seams belong.
        layer: seams of a higher one are around those of a lower one on the same method.
    """
    entered = _seams.enter(places(), layer)
    try:
        yield
    finally:
        _seams.leave(entered, layer)


def subclasses(kind: type) -> Iterator[type]:
    """``kind`` and all classes below it that exist by now, each once."""
    pending, seen = [kind], set[type]()
    while pending:
        found = pending.pop()
        if found not in seen:
            seen.add(found)
            yield found
            pending += found.__subclasses__()
