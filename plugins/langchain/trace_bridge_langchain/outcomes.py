"""What a function has read and returned, and what that decides."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableLambda

from trace_bridge import Call
from trace_bridge_langchain.layout import CONDITION, Site
from trace_bridge_langchain.running import Attached
from trace_bridge_langchain.shared import givers
from trace_bridge_langchain.states import Reads, is_command, watched, written


def tracked(self: Any, site: Site, given: object) -> tuple[object, Mapping[str, object]]:
    """The input of a function, and a record of what it reads of it."""
    whole = {"input": given}  # its parts may be of a kind that has no identity, or there are none
    if isinstance(self, RunnableLambda) and not site.is_node:
        return given, whole
    return watched(given) or (given, whole)


def returned(site: Site, where: Attached | None, made: Call, output: object) -> None:
    """Note the output of a function, what it was made of, and what it chooses."""
    update = written(output) if isinstance(made.inputs, Reads) else None
    if site.ends is None:
        made.returns(output, update)
    else:  # what a router says is no text that could be found again in others
        made.returns(Choice(output))
    if not isinstance(made.inputs, Reads):
        made.because(*givers(made))
    if where is None:
        return
    if site.ends is CONDITION:
        if made.parent is not None:
            made.parent.because(made)
        return
    for key, value in made.inputs.items():
        writer = where.writers.get(key)
        if writer is not None and isinstance(value, (int, float, type(None))):
            made.because(writer)  # small values have no identity: that the key was read tells it
    where.writers.update(dict.fromkeys(update or (), made))
    if site.ends is not None:
        _decides(where, made, output, site.ends)
    elif is_command(output):
        _decides(where, made, cast("Any", output).goto, {})


def _decides(where: Attached, made: Call, results: object, ends: Mapping[object, object]) -> None:
    """Note the nodes that a call has chosen."""
    if not isinstance(results, (list, tuple)):
        results = [results]
    for result in cast("list[object]", results):
        sent = getattr(result, "node", None)  # of a Send, which is not hashable
        if sent is not None or isinstance(result, Hashable):
            where.causes[str(sent or ends.get(result, result))] = made


class Choice:
    """What a router has chosen."""

    def __init__(self, chosen: object) -> None:
        self.chosen = chosen

    def __repr__(self) -> str:
        return repr(self.chosen)
