"""Why a value is refused: it would fail in every run, or do something else than it seems to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from langchain_core.prompts.string import get_template_variables

_HOW = {
    "f-string": "write {{ and }} for braces that are text",
    "mustache": "tags are {{name}}",
    "jinja2": "tags are {{ name }} and {% ... %}",
}


def template_check(
    text: str, template_format: str, given: Iterable[str] = ()
) -> Callable[[object], str | None]:
    """A check that a new template uses the variables of ``text``, and no others.

    Args:
        text: the user's own template.
        template_format: LangChain's name of its syntax.
        given: further variables that a template may use: those that are filled in beforehand.
    """
    needed = _variables(text, template_format)
    allowed = needed | set(given)

    def check(value: object) -> str | None:
        if not isinstance(value, str) or not value.strip():
            return "must be a text that is not empty"
        try:
            used = _variables(value, template_format)
        except (ValueError, KeyError, IndexError, RuntimeError) as error:
            return f"is no {template_format} template ({error}): {_HOW[template_format]}"
        if lost := needed - used:
            return f"must keep {_listed(lost)}: what is filled in there would be lost"
        if invented := used - allowed:
            return f"must not use {_listed(invented)}: nothing is filled in there"
        if template_format == "f-string" and (stray := _stray(value)):
            return f"has a stray brace in {stray!r}: {_HOW[template_format]}"
        return None

    return check


Check = Callable[[object], str | None] | None


def both(one: Check, other: Check) -> Check:
    """A check of a value that two places get."""
    if one is None or other is None:
        return one or other
    return lambda value: one(value) or other(value)


def variables(text: str, template_format: str) -> list[str]:
    """The names that a template fills in; none if it is none."""
    try:
        return sorted(_variables(text, template_format))
    except (ValueError, KeyError, IndexError, RuntimeError):
        return []


def _variables(text: str, template_format: str) -> set[str]:
    return set(get_template_variables(text, template_format))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def _stray(text: str) -> str:
    """What stands in single braces and is no name: ``{"a": 1}``, ``{}``, ``{a b}``."""
    plain = text.replace("{{", "").replace("}}", "")
    for found in re.finditer(r"\{([^{}]*)\}", plain):
        if not re.fullmatch(r"[^\W\d]\w*(![rsa])?(:[^{}]*)?", found[1]):
            return found[0]
    return ""


def not_empty(value: object) -> str | None:
    """A reason if ``value`` is no text, or an empty one."""
    return None if isinstance(value, str) and value.strip() else "must be a text that is not empty"
