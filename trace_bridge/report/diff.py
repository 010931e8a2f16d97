"""What a candidate changes, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from trace_bridge.graph import Parameter, kind_named


def diff(
    before: Mapping[str, object], after: Mapping[str, object], parameters: Iterable[Parameter]
) -> str:
    """A unified diff with one section for each changed parameter; empty if nothing changed."""
    kinds = {parameter.name: kind_named(parameter.kind) for parameter in parameters}
    sections: list[str] = []
    for path, value in after.items():
        if path not in before or before[path] == value:
            continue
        show = kinds[path].show
        names = f"{path} (original)", f"{path} (tuned)"
        lines = difflib.unified_diff(
            show(before[path]).splitlines(), show(value).splitlines(), *names, lineterm=""
        )
        invisible = [f"--- {names[0]}", f"+++ {names[1]}", "(line ends differ)"]
        sections.append("\n".join([*lines] or invisible))
    return "\n".join(sections)
