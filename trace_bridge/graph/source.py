"""A function's source out, and a function back in: the only place that compiles code."""

from __future__ import annotations
import __future__

import ast
import functools
import inspect
import io
import itertools
import linecache
import tokenize
import traceback
import types
import weakref
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import ContextVar
from typing import Any, Protocol, cast

from trace_bridge.graph.errors import ExecutionError, message_of


class CodeRunner(Protocol):
    """Runs model-written code somewhere it can do no harm."""

    def run(
        self, source: str, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Call the function ``name`` that ``source`` defines; its exceptions propagate.

        What a coroutine function returns may be awaitable; a generator's items may come as any
        iterable.
        """
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
    return "".join(_lines(text)[definition.lineno - 1 : definition.end_lineno])


def _lines(source: str) -> list[str]:
    """The lines as Python counts them: ``splitlines`` also ends one at a form feed in a text."""
    return io.StringIO(source).readlines()


def _dedented(source: str) -> str:
    """``source`` less the indentation of its first line, but for the inner lines of its texts."""
    indentation = source[: len(source) - len(source.lstrip())]
    inside = lines_in_texts(source) if indentation else ()
    return "".join(
        line if number in inside else line.removeprefix(indentation)
        for number, line in enumerate(_lines(source), 1)
    )


def lines_in_texts(source: str) -> set[int]:
    """The lines that begin inside a string literal: their indentation is part of a value."""
    found: set[int] = set()
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":  # pragma: no cover (the tokens of Python 3.12 and newer)
            start = token.start[0]
        elif kind in ("STRING", "FSTRING_END"):
            first = token.start[0] if kind == "STRING" else start
            found.update(range(first + 1, token.end[0] + 1))
    return found


def signature_refusal(original: str, free: Sequence[str], changed: str) -> str | None:
    """Why ``changed`` cannot stand for ``original``: it must parse and keep name and arguments.

    ``free`` are the names that the original function closes over.
    """
    if changed == original:
        return None
    try:
        module = ast.parse(changed)
        frame, body = _framed(free, "class _: pass")  # where return is as wrong as in a module
        body[:0] = ast.parse(changed).body
        compile(frame, "<changed>", "exec", _ANNOTATIONS, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"does not parse: {error}"
    wanted = ast.parse(original).body[0]
    assert isinstance(wanted, (ast.FunctionDef, ast.AsyncFunctionDef))  # noqa: S101 (source_of gave it)
    return other_signature(wanted, module)


def other_signature(
    wanted: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module
) -> str | None:
    """Why ``module`` does not define the function ``wanted``, with its arguments."""
    for statement in module.body:
        if isinstance(statement, type(wanted)) and statement.name == wanted.name:
            if ast.dump(statement.args) != ast.dump(wanted.args):
                return f"must keep the signature {wanted.name}({ast.unparse(wanted.args)})"
            return None
    return f"must define {wanted.name}({ast.unparse(wanted.args)})"


def rebuild(
    original: Callable[..., Any], source: str, defined_in: type | None = None,
    written: Callable[..., Any] | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """``source`` as a function with the globals and the live closure of ``original``.

    Or with those of the function ``written``, whose source it is, if it was written in another
    place; then ``original`` and ``defined_in`` give the class alone.

    It is compiled inside two functions. The outer one gives the names that the original closes
    over, so that the compiler makes free variables of them; their cells are then the original's.
    The inner one holds what ``source`` defines besides. A class between them makes the compiler
    treat private names (``self.__x``) as in the original's class, which ``super()`` means, too.
    """
    function = inspect.unwrap(original)
    name, owner = function.__name__, _class_of(function)
    home = function if written is None else inspect.unwrap(written)
    cells = {} if defined_in is None else {"__class__": types.CellType(defined_in)}
    cells |= {**_cells(function), **_cells(home)}
    tree = ast.parse(source)
    for statement in tree.body:
        if isinstance(statement, _DEFINITIONS) and statement.name == name:
            _drop_defaults(statement.args)
    frame, inside = _framed(tuple(cells), f"class {owner}:\n        def build(): return {name}")
    cast("ast.FunctionDef", inside[0]).body[:0] = tree.body
    file = f"<trained {name} {next(_number)}>"
    compiled = compile(frame, file, "exec", _ANNOTATIONS, dont_inherit=True)
    build = _inner(_inner(_inner(compiled, "outer"), owner), "build")
    closure = tuple(cells.get(variable) or types.CellType() for variable in build.co_freevars)
    made = types.FunctionType(build, home.__globals__, closure=closure)()
    # as attrs does: tracebacks and pdb show the generated lines, for as long as there are any
    linecache.cache[file] = (len(source), None, _lines(source), file)
    weakref.finalize(made, linecache.cache.pop, file, None).atexit = False
    plain = inspect.unwrap(made)
    plain.__kwdefaults__, plain.__defaults__ = home.__kwdefaults__, home.__defaults__
    plain.__qualname__ = function.__qualname__
    return made


def _cells(function: types.FunctionType) -> dict[str, types.CellType]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def revised(
    function: Callable[..., Any], source: str, *, unsafe: bool = False,
    remedy: str = "bundle(trainable=True, unsafe=True)",
) -> Callable[..., Any]:  # fmt: skip
    """``function`` with ``source`` for its own: the very function, if nothing has changed.

    Args:
        function: a user's function, sync or async; it stays as it is.
        source: what it shall be; see ``signature_refusal`` for what is possible.
        unsafe: run changed code in this process. Else calls go through the code runner, and raise
            UnsafeCodeError where none is configured.
        remedy: what that error tells to write in order to allow it.
    """
    if source == source_of(function):
        return function
    return rebuild(function, source) if unsafe else caged(function, source, remedy)


def caged(function: Callable[..., Any], source: str, remedy: str) -> Callable[..., Any]:
    """A function like ``function`` whose calls have ``source`` run by the code runner."""

    def call(args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        runner = code_runner.get()
        if runner is None:
            msg = (
                f"the source of {function.__qualname__} has changed, and no code runner is"
                f" configured to run it: pass {remedy} to run model-written code in this process"
            )
            raise UnsafeCodeError(msg)
        return runner.run(source, function.__name__, args, kwargs)

    @functools.wraps(function)
    def run(*args: object, **kwargs: object) -> object:
        return call(args, kwargs)

    @functools.wraps(function)
    async def arun(*args: object, **kwargs: object) -> object:
        result = call(args, kwargs)
        return await cast("Awaitable[object]", result) if inspect.isawaitable(result) else result

    @functools.wraps(function)
    def stream(*args: object, **kwargs: object) -> Iterator[object]:
        yield from cast("Iterable[object]", call(args, kwargs))

    @functools.wraps(function)
    async def astream(*args: object, **kwargs: object) -> AsyncIterator[object]:
        for item in cast("Iterable[object]", call(args, kwargs)):
            yield item

    plain = inspect.unwrap(function)
    if inspect.iscoroutinefunction(function):
        return arun
    if inspect.isasyncgenfunction(plain):
        return astream
    return stream if inspect.isgeneratorfunction(plain) else run


def _framed(free: Sequence[str], definition: str) -> tuple[ast.Module, list[ast.stmt]]:
    """A class inside a function that has the variables ``free``, and the body of the class."""
    variables = "".join(f"    {variable} = None\n" for variable in free)
    frame = ast.parse(f"def outer():\n{variables}    {definition}")
    outer = cast("ast.FunctionDef", frame.body[0])
    return frame, cast("ast.ClassDef", outer.body[-1]).body


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ANNOTATIONS = __future__.annotations.compiler_flag  # they are not evaluated
_number = itertools.count(1)


def _drop_defaults(arguments: ast.arguments) -> None:
    """The original's are used; to evaluate these might fail, or do something."""
    none = ast.Constant(None)
    arguments.defaults = [ast.copy_location(none, old) for old in arguments.defaults]
    arguments.kw_defaults = [old and ast.copy_location(none, old) for old in arguments.kw_defaults]


def _class_of(function: types.FunctionType) -> str:
    """The class in which the function is defined, or ``_``, with which no name is private."""
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    return owner if owner.isidentifier() else "_"


def _inner(code: types.CodeType, name: str) -> types.CodeType:
    return next(
        item for item in code.co_consts if isinstance(item, types.CodeType) and item.co_name == name
    )


def described(error: Exception, function: Callable[..., Any]) -> str:
    """An error as text: ``(KeyError) 'x'``, and the function's source with that line marked."""
    cause = error.original if isinstance(error, ExecutionError) else type(error)
    text = f"({cause.__name__}) {message_of(error)}\n{_failing_lines(error, cause, function)}"
    return text.rstrip("\n")


def _failing_lines(
    error: Exception, cause: type[Exception], function: Callable[..., Any]
) -> str:  # fmt: skip
    """Empty if the function has no source, or was never entered (wrong arguments)."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__name__"):  # an object: its class has what runs
        function = type(function).__call__
    function = inspect.unwrap(function)
    own = getattr(function, "__code__", None)
    ran = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    # what it calls may have the same name
    found = [(code, line) for code, line in ran if code is own] or [
        (code, line)
        for code, line in ran
        if code.co_name == function.__name__ and code.co_filename.startswith("<trained ")
    ]
    if not found:
        return ""
    code, failed = found[-1]
    lines = list(_lines_of(code))
    if not lines:  # typed into a shell, or made by exec
        return ""
    at = failed - code.co_firstlineno
    lines[at] = f"{lines[at].rstrip()}  # <-- {cause.__name__}\n"
    while lines[0].lstrip().startswith("@"):
        del lines[0]
    return _dedented("".join(lines)).rstrip()


@functools.lru_cache(maxsize=64)
def _lines_of(code: types.CodeType) -> Sequence[str]:
    # inspect.getsource would look through all modules for the file
    return inspect.getblock(linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :])
