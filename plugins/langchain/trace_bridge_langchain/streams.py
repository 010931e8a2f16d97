"""Seams for streams: what goes in and comes out is noted piece by piece.

A generator runs in whatever context asks for its next item, so these set no context variable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

from trace_bridge import Call, current_call
from trace_bridge_langchain import models
from trace_bridge_langchain.components import (
    Method,
    chosen,
    given_to,
    inputs_of,
    is_component,
    met,
    met_model,
    op_of,
)
from trace_bridge_langchain.layout import Site
from trace_bridge_langchain.shared import givers


def stream(original: Method) -> Method:
    """A seam for ``stream`` of models, whose input is there as a whole."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        call = current_call()
        if call is None:
            yield from original(self, *args, **kwargs)
            return
        if not models.streams(self, _settings(kwargs), is_async=False):
            yield from original(self, *args, **kwargs)  # it calls invoke
            return
        own, made = _begin(self, call, args, kwargs)
        error: BaseException | None = None
        try:
            with models.metered(self) as paid:
                total: Any = None
                for chunk in original(own, *args, **kwargs):
                    made.yields(chunk)
                    total = chunk if total is None else total + chunk
                    paid.usage = models.usage_of(total)
                    yield chunk
            made.returns(total)
        except BaseException as raised:
            error = raised
            raise
        finally:
            made.end(None if isinstance(error, GeneratorExit) else error)

    return seam


def astream(original: Method) -> Method:
    """``stream`` for ``astream``."""

    async def seam(self: Any, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        call = current_call()
        if call is None or not models.streams(self, _settings(kwargs), is_async=True):
            async for chunk in original(self, *args, **kwargs):
                yield chunk
            return
        own, made = _begin(self, call, args, kwargs)
        error: BaseException | None = None
        try:
            with models.metered(self) as paid:
                total: Any = None
                async for chunk in original(own, *args, **kwargs):
                    made.yields(chunk)
                    total = chunk if total is None else total + chunk
                    paid.usage = models.usage_of(total)
                    yield chunk
            made.returns(total)
        except BaseException as raised:
            error = raised
            raise
        finally:
            made.end(None if isinstance(error, GeneratorExit) else error)

    return seam


def _settings(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("input", "config")}


def _begin(
    self: Any, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Call]:
    own, site, where = met_model(self, kwargs)
    given = given_to(args, kwargs)
    made = call.component(op_of(site, self, call), {"input": given}, site.parameters)
    if where is not None and where.causes:
        chosen(where, made)
    return own, made


def choice(original: Method) -> Method:
    """A seam for ``stream`` of what chooses among runnables, which run inside it."""

    def seam(self: Any, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        call = current_call()
        if call is None:
            yield from original(self, *args, **kwargs)
            return
        own, made = _begin_choice(self, call, args, kwargs)
        yield from _recorded(original(own, *args, **kwargs), made)

    return seam


def achoice(original: Method) -> Method:
    """``choice`` for ``astream``."""

    async def seam(self: Any, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        call = current_call()
        if call is None:
            async for piece in original(self, *args, **kwargs):
                yield piece
            return
        own, made = _begin_choice(self, call, args, kwargs)
        async with aclosing(_arecorded(original(own, *args, **kwargs), made)) as pieces:
            async for piece in pieces:
                yield piece

    return seam


def _begin_choice(
    self: Any, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Call]:
    own, site, where = met(self)
    made = call.component(op_of(site, self, call), inputs_of(args, kwargs), site.parameters)
    made.streams()
    if where is not None and where.causes:
        chosen(where, made)
    return own, made


def transform(original: Method) -> Method:
    """A seam for ``transform`` of parsers and lambdas, whose input comes piece by piece."""

    def seam(self: Any, input: Iterator[Any], *args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: A002
        call = current_call()
        own, site, _ = met(self)
        if call is None or not _transforms(self, site):
            yield from original(own, input, *args, **kwargs)
            return
        seen, made = _begin_transform(self, call, site)
        yield from _recorded(original(own, _noted(input, seen, call), *args, **kwargs), made)

    return seam


def atransform(original: Method) -> Method:
    """``transform`` for ``atransform``."""

    async def seam(
        self: Any,
        input: AsyncIterator[Any],  # noqa: A002
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        call = current_call()
        own, site, _ = met(self)
        if call is None or not _transforms(self, site):
            async for piece in original(own, input, *args, **kwargs):
                yield piece
            return
        seen, made = _begin_transform(self, call, site)
        given = original(own, _anoted(input, seen, call), *args, **kwargs)
        async with aclosing(_arecorded(given, made)) as pieces:
            async for piece in pieces:
                yield piece

    return seam


def _begin_transform(self: Any, call: Call, site: Site) -> tuple[list[object], Call]:
    seen: list[object] = []
    made = call.component(
        op_of(site, self, call), {"input": seen}, site.parameters, site.description
    )
    made.streams()
    return seen, made


def _recorded(pieces: Iterator[Any], made: Call) -> Iterator[Any]:
    """``pieces``, which are made inside ``made`` and are its result."""
    with _result(made) as note:
        for piece in _stepped(pieces, made):
            note(piece)
            yield piece


async def _arecorded(pieces: AsyncIterator[Any], made: Call) -> AsyncGenerator[Any]:
    with _result(made) as note:
        async for piece in _astepped(pieces, made):
            note(piece)
            yield piece


@contextmanager
def _result(made: Call) -> Generator[Callable[[Any], None]]:
    """Note the pieces of a result, and then the whole of it, or how it has failed."""
    total: Any = None

    def note(piece: Any) -> None:
        nonlocal total
        made.yields(piece)
        total = _sum(total, piece)

    error: BaseException | None = None
    try:
        yield note
        made.returns(total)
        made.because(*givers(made))
    except BaseException as raised:
        error = raised
        raise
    finally:
        made.end(None if isinstance(error, GeneratorExit) else error)


def _transforms(self: Any, site: Site) -> bool:
    return not hasattr(self, "func") or is_component(self, site)


_END = object()


def _stepped(pieces: Iterator[Any], inside: Call) -> Iterator[Any]:
    """``pieces``, of which each is made inside a call: whoever asks for them is elsewhere."""
    while True:
        with inside.entered():
            piece = next(pieces, _END)
        if piece is _END:
            return
        yield piece


async def _astepped(pieces: AsyncIterator[Any], inside: Call) -> AsyncIterator[Any]:
    while True:
        with inside.entered():
            piece = await anext(pieces, _END)
        if piece is _END:
            return
        yield piece


def _noted(pieces: Iterator[Any], seen: list[object], outside: Call) -> Iterator[Any]:
    for piece in _stepped(pieces, outside):
        seen.append(piece)
        yield piece


async def _anoted(
    pieces: AsyncIterator[Any], seen: list[object], outside: Call
) -> AsyncIterator[Any]:
    async for piece in _astepped(pieces, outside):
        seen.append(piece)
        yield piece


def _sum(total: Any, piece: Any) -> Any:
    """What pieces make together: their sum where they have one, else the last."""
    if total is None:
        return piece
    try:
        return total + piece
    except TypeError:  # a parser's partial results replace each other
        return piece
