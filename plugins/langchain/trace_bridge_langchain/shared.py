"""Who gave a value that Python shares: a number, a flag, a letter.

Its identity proves nothing. But runnables pass on what they return: the last equal value that the
same code got from a call, whole or by the same name, will have been it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from trace_bridge import Call, Recorder

_KINDS = frozenset((bool, int, float))


def givers(made: Call) -> list[Call]:
    """The calls that have given the shared values which went into ``made``."""
    for value in made.inputs.values():
        if type(value) is not str or len(value) == 1:
            break
    else:  # as it is of most prompts, and this is fast
        return []
    values = [pair for name, value in made.inputs.items() for pair in _shared(name, value)]
    if not values:
        return []
    recorder = made.recorder
    known = recorder.inputs if isinstance(recorder, Recorder) else {}
    earlier = [
        call
        for call in reversed(recorder.calls)
        if call.parent is made.parent and call is not made and call.ended >= 0 and not call.error
    ]
    found: list[Call] = []
    for name, value in values:
        if not _equal(known.get(name), value):  # by the same name, it is nobody's output
            found += [call for call in earlier if _gave(call, name, value)][:1]
    return found


def _shared(name: str, value: object) -> Iterator[tuple[str, object]]:
    """A shared value, or those in a dict by their names; of a stream, those of its pieces."""
    kind = type(value)
    if kind in _KINDS or (kind is str and len(cast("str", value)) == 1):
        yield name, value
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            if not isinstance(item, dict):
                yield from _shared(str(key), item)
    elif kind is list and all(isinstance(piece, dict) for piece in cast("list[object]", value)):
        for piece in cast("list[object]", value):
            yield from _shared("", piece)
    elif kind is list and len(cast("list[object]", value)) == 1:
        yield from _shared(name, cast("list[object]", value)[0])


def _gave(call: Call, name: str, value: object) -> bool:
    if not isinstance(call.output, Mapping):
        return _equal(call.output, value)
    items = cast("Mapping[object, object]", call.output)
    held = [items[name]] if name in items else items.values()
    return any(_equal(item, value) for item in held)


def _equal(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
