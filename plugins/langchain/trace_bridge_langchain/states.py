"""A graph's state as its nodes see it: which keys a node really reads, and which it writes."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel

_log = logging.getLogger("trace_bridge")


class Reads(dict[str, object]):
    """What a node has read of its state, by key; it grows while the node runs."""


class StateReads(dict[str, object]):
    """A state that notes what is read of it; to its reader it is the dict that it was.

    LangGraph passes the whole state to each node. An edge from every value that is in it would
    connect all with all: only those count that the node has read.
    """

    def __init__(self, state: Mapping[str, object]) -> None:
        super().__init__(state)
        self.reads = Reads()

    def _note(self, key: object) -> None:
        if dict.__contains__(self, key):
            self.reads[str(key)] = dict.__getitem__(self, key)

    def _note_all(self) -> None:
        for key in dict.keys(self):
            self._note(key)

    def __getitem__(self, key: str) -> object:
        self._note(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As ``dict.get``."""
        self._note(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """As ``dict.pop``."""
        self._note(key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        self._note(key)
        return super().setdefault(key, default)

    def popitem(self) -> tuple[str, object]:
        """As ``dict.popitem``."""
        self._note_all()
        return super().popitem()

    def __iter__(self) -> Iterator[str]:  # also: ** and dict() do not take the shortcut then
        return super().__iter__()

    def items(self) -> Any:
        """As ``dict.items``."""
        self._note_all()
        return super().items()

    def values(self) -> Any:
        """As ``dict.values``."""
        self._note_all()
        return super().values()

    def copy(self) -> dict[str, object]:
        """As ``dict.copy``."""
        self._note_all()
        return dict(super().items())

    def __copy__(self) -> dict[str, object]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, object]) -> dict[str, object]:
        from copy import deepcopy

        return deepcopy(self.copy(), memo)

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (self.copy(),)

    def __or__(self, other: Any) -> Any:
        return self.copy() | dict(other)

    def __ror__(self, other: Any) -> Any:
        return dict(other) | self.copy()

    def __eq__(self, other: object) -> bool:
        self._note_all()
        return super().__eq__(other)

    __hash__ = None  # pyright: ignore[reportAssignmentType] as a dict's

    def __repr__(self) -> str:
        self._note_all()
        return super().__repr__()


_READS = "_trace_bridge_reads"  # where our copies of state objects keep their notes


_MARK = "__trace_bridge__"  # an attribute of their classes


def _notes(state: object) -> Reads:
    held: dict[str, Any] = object.__getattribute__(state, "__dict__")
    private = held if _READS in held else object.__getattribute__(state, "__pydantic_private__")
    return private[_READS]


@functools.lru_cache(maxsize=256)
def _watching(kind: type) -> type | None:
    """A class like ``kind``, whose instances note which fields are read; None if it can have none.

    Such a class's nodes depend on their whole state.
    """
    names = frozenset(_fields(kind))

    def __getattribute__(self: Any, name: str) -> Any:  # noqa: N807
        value = object.__getattribute__(self, name)
        if name in names:
            _notes(self)[name] = value
        return value

    body: dict[str, Any] = {
        _MARK: True, "__getattribute__": __getattribute__,
        "__module__": kind.__module__, "__qualname__": kind.__qualname__,
    }  # fmt: skip
    if issubclass(kind, BaseModel):  # its own methods read without asking for attributes
        body |= {name: _as_whole(getattr(kind, name)) for name in _WHOLE if hasattr(kind, name)}
    make: Any = type(kind)
    try:
        return make(kind.__name__, (kind,), body)
    except TypeError as error:  # its __init_subclass__ wants something, or forbids it
        _log.info("%s cannot be watched: %s", kind.__qualname__, error)
        return None


_WHOLE = ("model_dump", "model_dump_json", "model_copy", "__iter__", "__eq__", "__repr__",
          "__copy__", "__deepcopy__")  # fmt: skip


def _as_whole(method: Callable[..., Any]) -> Callable[..., Any]:
    """``method``, on a plain copy of a state of which all fields are read by that."""

    @functools.wraps(method)
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = _unwatched(self)
        _notes(self).update({name: getattr(state, name) for name in _fields(type(state))})
        return method(state, *args, **kwargs)

    return read


def _fields(kind: Any) -> list[str]:
    if issubclass(kind, BaseModel):
        return list(kind.model_fields)
    return [field.name for field in dataclasses.fields(kind)]


def watched(state: Any) -> tuple[object, Reads] | None:
    """A state that notes what is read of it, and the notes; None for what is no such thing.

    It is a copy: a state object that the user still holds does not change its class.
    """
    if type(state) is dict:
        held = StateReads(cast("dict[str, object]", state))
        return held, held.reads
    is_model = isinstance(state, BaseModel)
    if not is_model and (not dataclasses.is_dataclass(state) or not hasattr(state, "__dict__")):
        return None
    watching = _watching(type(state))
    if watching is None:
        return None
    made: Any = copy.copy(state)
    reads = Reads()
    if is_model:
        private = {**(made.__pydantic_private__ or {}), _READS: reads}
        object.__setattr__(made, "__pydantic_private__", private)
    else:
        object.__setattr__(made, _READS, reads)
    object.__setattr__(made, "__class__", watching)
    return made, reads


def _unwatched(state: Any) -> Any:
    kind = type(state).__mro__[1]
    made = object.__new__(kind)
    held = object.__getattribute__(state, "__dict__")
    object.__getattribute__(made, "__dict__").update(_without_notes(held))
    if issubclass(kind, BaseModel):
        for name in ("__pydantic_fields_set__", "__pydantic_extra__"):
            object.__setattr__(made, name, object.__getattribute__(state, name))
        private = _without_notes(object.__getattribute__(state, "__pydantic_private__"))
        object.__setattr__(made, "__pydantic_private__", private or None)
    return made


def _without_notes(held: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in held.items() if name != _READS}


_ATOMS = frozenset((str, int, float, bool, type(None)))
_DEEP = 4  # containers in each other into which nobody looks further: they may hold themselves


def plain(output: Any, deep: int = _DEEP) -> Any:
    """What a node returned, with no ``StateReads`` in it: nothing of ours gets into the state."""
    if isinstance(output, StateReads):
        return dict(dict.items(output))
    if hasattr(type(output), _MARK):
        return _unwatched(output)
    if not deep:
        return output
    if type(output) is dict:
        held = cast("dict[str, object]", output)
        if all(type(value) in _ATOMS for value in held.values()):  # as most are, and this is fast
            return held
        new = {key: plain(value, deep - 1) for key, value in held.items()}
        return new if any(new[key] is not value for key, value in held.items()) else held
    if type(output) in (list, tuple):
        items = cast("list[object]", output)
        made = [plain(item, deep - 1) for item in items]
        same = all(one is other for one, other in zip(made, items, strict=True))
        return output if same else type(output)(made)
    if type(output).__name__ in _TELLING:
        return _replaced(output, _TELLING[type(output).__name__], deep)
    return output


# what of LangGraph's own objects gets into the state; their classes are not imported for that
_TELLING = {"Send": ("arg",), "Command": ("update", "goto")}


def _replaced(told: Any, names: tuple[str, ...], deep: int) -> Any:
    held = {name: getattr(told, name) for name in names}
    new = {name: plain(value, deep) for name, value in held.items()}
    if all(new[name] is value for name, value in held.items()):
        return told
    made = copy.copy(told)
    for name, value in new.items():
        object.__setattr__(made, name, value)
    return made


def written(output: object) -> Mapping[str, object] | None:
    """The keys of the state that a node's output writes, with their values."""
    update: object = getattr(output, "update", None) if is_command(output) else output
    if isinstance(update, dict) and update:
        return {str(key): value for key, value in cast("dict[object, object]", update).items()}
    return None


def is_command(output: object) -> bool:
    """Whether a node has returned LangGraph's ``Command``."""
    return type(output).__name__ == "Command"
