"""What of an agent could be trained, as text."""

from __future__ import annotations

from typing import Any

from trace_bridge.graph.shown import shortened
from trace_bridge.recording.agent import AgentModule

_VALUE = 80  # characters of a value on its line


def inventory(module: AgentModule[Any]) -> str:
    """A line for each parameter (``*`` if it is trained by default), and what is left out."""
    default = set(module.default_paths())
    parameters = dict(module.named_parameters())
    kind = type(module.agent).__qualname__
    framework = f"{module.framework} " if module.framework else ""
    head = f"{framework}{kind}: {len(parameters)} parameters, {len(default)} trained by default (*)"
    rows = [
        ("*" if path in default else " ", path, parameter.kind, _short(parameter.peek()))
        for path, parameter in parameters.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (1, 2)] if rows else [0, 0]
    lines = [
        f"{mark} {path:{widths[0]}}  {sort:{widths[1]}}  {value}".rstrip()
        for mark, path, sort, value in rows
    ]
    if not rows:
        lines = [f"nothing can be trained: {module.nothing_to_train()}"]
    if left := module.left_out():
        lines += ["", "cannot be trained:"]
        lines += [f"  {path}: {reason}" for path, reason in left.items()]
    if problem := module.problem():
        lines += ["", f"cannot run now: {problem}"]
    return "\n".join([head, *lines])


def _short(value: object) -> str:
    return shortened(" ".join(str(value).split()), _VALUE)
