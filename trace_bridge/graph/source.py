"""A function's source out, and a function back in: the only place that compiles code."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import types
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol


class CodeRunner(Protocol):
    """Runs model-written code somewhere it can do no harm."""

    def run(
        self, source: str, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Call the function ``name`` that ``source`` defines; its exceptions propagate."""
        ...


class UnsafeCodeError(RuntimeError):
    """A changed function was called, and nothing was configured that may run it."""


code_runner: ContextVar[CodeRunner | None] = ContextVar("code_runner", default=None)


def source_of(function: Callable[..., object]) -> str:
    """The ``def`` of ``function``, dedented and without decorators.

    Raises:
        ValueError: if there is no such source (a lambda, a builtin, a function made by exec).
    """
    try:
        text = _dedented(inspect.getsource(function))
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError) as error:
        msg = f"{function!r} has no source that could be trained: {error}"
        raise ValueError(msg) from error
    definition = tree.body[0]
    if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        msg = f"{function!r} is not defined by a def, so its source cannot be trained"
        raise ValueError(msg)  # noqa: TRY004 (it is a function, of a kind without source)
    lines = text.splitlines(keepends=True)
    return "".join(lines[definition.lineno - 1 : definition.end_lineno])


def _dedented(source: str) -> str:
    """``source`` less the indentation of its first line (a text in it may begin at the margin)."""
    indentation = source[: len(source) - len(source.lstrip())]
    return "".join(line.removeprefix(indentation) for line in source.splitlines(keepends=True))


def signature_refusal(original: str, changed: str) -> str | None:
    """Why ``changed`` cannot stand for ``original``: it must parse and keep name and arguments."""
    if changed == original:
        return None
    try:
        compile(changed, "<changed>", "exec", dont_inherit=True)
        module = ast.parse(changed)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"does not parse: {error}"
    wanted = ast.parse(original).body[0]
    assert isinstance(wanted, (ast.FunctionDef, ast.AsyncFunctionDef))  # noqa: S101 (source_of gave it)
    for statement in module.body:
        if isinstance(statement, type(wanted)) and statement.name == wanted.name:
            if ast.dump(statement.args) != ast.dump(wanted.args):
                return f"must keep the signature {wanted.name}({ast.unparse(wanted.args)})"
            return None
    return f"must define {wanted.name}({ast.unparse(wanted.args)})"


@functools.lru_cache(maxsize=256)
def _compiled(source: str, name: str) -> types.CodeType:
    file = f"<trained {name} {abs(hash(source)):x}>"
    # as attrs does: tracebacks and pdb show the generated lines
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return compile(source, file, "exec")


def rebuild(original: Callable[..., Any], source: str) -> Callable[..., Any]:
    """``source`` as a function with the globals and the live closure of ``original``."""
    function = inspect.unwrap(original)
    namespace = _Namespace(function)
    exec(_compiled(source, function.__name__), namespace)  # noqa: S102 (only with unsafe=True)
    made = namespace[function.__name__]
    made.__kwdefaults__, made.__defaults__ = function.__kwdefaults__, function.__defaults__
    return made


class _Namespace(dict[str, Any]):
    """Globals of generated code: its own definitions first, then what the original could see."""

    def __init__(self, function: types.FunctionType) -> None:
        super().__init__(__builtins__=function.__globals__["__builtins__"])
        self._globals = function.__globals__
        self._cells = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        )

    def __missing__(self, name: str) -> Any:
        if name in self._cells:
            return self._cells[name].cell_contents
        return self._globals[name]
