"""The seams: methods of DSPy's classes that report to the run of ours that they are called in.

DSPy's own callbacks would make an agent 1.7 times slower, and can change nothing. A seam looks up
one context variable and is then the original method, unless a run is being recorded.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

import dspy

from trace_bridge import SeamPlace, current_call, note_read, seams_installed, subclasses
from trace_bridge_dspy import metering, versions
from trace_bridge_dspy.examples import fields_of
from trace_bridge_dspy.layout import Site
from trace_bridge_dspy.running import MARK, Run, active, change, differs, stray

_Method = Callable[..., Any]
_ASIDE = ("signature", "demos", "config", "lm", "_trace")  # settings of a call, not its inputs
_UNKNOWN = Site("")


@contextmanager
def instrumented() -> Generator[None]:
    """Have the seams installed; entering again only counts."""
    versions.require()
    with seams_installed(_places):
        yield


def _places() -> Iterator[SeamPlace]:
    """Classes, their methods, and what makes a seam of each; methods that are absent are left."""
    yield dspy.Predict, "forward", _predict
    yield dspy.Predict, "aforward", _apredict
    yield dspy.Module, "__call__", _module
    yield dspy.Module, "acall", _amodule
    yield dspy.Tool, "__call__", _tool
    yield dspy.Tool, "acall", _atool
    yield dspy.Example, "__getattr__", _read_one
    yield dspy.Example, "__getitem__", _read_one
    yield dspy.Example, "get", _read_one
    for name in ("items", "values", "toDict"):
        yield dspy.Example, name, _read_all
    yield dspy.Prediction, "__float__", _read_score
    yield dspy.BaseLM, "update_history", _history
    for kind in subclasses(dspy.BaseLM):  # DummyLM of DSPy 3.0 and many others define their own
        yield kind, "__call__", _lm
        yield kind, "acall", _alm


def _predict(original: _Method) -> _Method:
    def forward(self: dspy.Predict, **kwargs: Any) -> Any:
        run = stray(self)
        if run is not None:
            return run.reenter(forward, self, **kwargs)
        call = current_call()
        if call is None:
            return original(self, **kwargs)
        site, own = _site(self), _own(self)
        with call.component(
            _op(site, self), _inputs(kwargs), site.parameters, site.description
        ) as c:
            if own is self:
                output = original(self, **kwargs)
            else:
                with _in_place_of(self, own):
                    output = original(own, **kwargs)
            c.returns(output, fields_of(output))
        return output

    return forward


def _apredict(original: _Method) -> _Method:
    async def aforward(self: dspy.Predict, **kwargs: Any) -> Any:
        run = stray(self)
        if run is not None:
            return await run.areenter(aforward, self, **kwargs)
        call = current_call()
        if call is None:
            return await original(self, **kwargs)
        site, own = _site(self), _own(self)
        with call.component(
            _op(site, self), _inputs(kwargs), site.parameters, site.description
        ) as c:
            if own is self:
                output = await original(self, **kwargs)
            else:
                with _in_place_of(self, own):
                    output = await original(own, **kwargs)
            c.returns(output, fields_of(output))
        return output

    return aforward


def _module(original: _Method) -> _Method:
    def __call__(self: dspy.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        run = stray(self)
        if run is not None:
            return run.reenter(__call__, self, *args, **kwargs)
        call = current_call()
        if call is None or isinstance(self, dspy.Predict):
            return original(self, *args, **kwargs)
        with call.frame(_op(_site(self), self), _named(args, kwargs)) as frame:
            _note_context(self)
            output = original(self, *args, **kwargs)
            frame.returns(output, fields_of(output))
        return output

    return __call__


def _amodule(original: _Method) -> _Method:
    async def acall(self: dspy.Module, *args: Any, **kwargs: Any) -> Any:
        run = stray(self)
        if run is not None:
            return await run.areenter(acall, self, *args, **kwargs)
        call = current_call()
        if call is None or isinstance(self, dspy.Predict):
            return await original(self, *args, **kwargs)
        with call.frame(_op(_site(self), self), _named(args, kwargs)) as frame:
            _note_context(self)
            output = await original(self, *args, **kwargs)
            frame.returns(output, fields_of(output))
        return output

    return acall


def _tool(original: _Method) -> _Method:
    def __call__(self: dspy.Tool, **kwargs: Any) -> Any:  # noqa: N807
        call = current_call()
        if call is None:
            return original(self, **kwargs)
        site = _site(self)
        with call.component(_op(site, self), kwargs, site.parameters, site.description) as c:
            output = original(self, **kwargs)
            c.returns(output)
        return output

    return __call__


def _atool(original: _Method) -> _Method:
    async def acall(self: dspy.Tool, **kwargs: Any) -> Any:
        call = current_call()
        if call is None:
            return await original(self, **kwargs)
        site = _site(self)
        with call.component(_op(site, self), kwargs, site.parameters, site.description) as c:
            output = await original(self, **kwargs)
            c.returns(output)
        return output

    return acall


def _lm(original: _Method) -> _Method:
    def __call__(self: dspy.BaseLM, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if metering.calling(self):
            return original(self, *args, **kwargs)
        with metering.metered(self):
            return original(self, *args, **metering.fresh(self, kwargs))

    return __call__


def _alm(original: _Method) -> _Method:
    async def acall(self: dspy.BaseLM, *args: Any, **kwargs: Any) -> Any:
        if metering.calling(self):
            return await original(self, *args, **kwargs)
        with metering.metered(self):
            return await original(self, *args, **metering.fresh(self, kwargs))

    return acall


def _history(original: _Method) -> _Method:
    def update_history(self: dspy.BaseLM, entry: dict[str, Any]) -> Any:
        metering.note_history(self, entry)
        return original(self, entry)

    return update_history


def _read_one(original: _Method) -> _Method:
    def read(self: dspy.Example, key: str, *default: Any, **kwargs: Any) -> Any:
        value = original(self, key, *default, **kwargs)
        if isinstance(self, dspy.Prediction):
            note_read(self, key)
        return value

    return read


def _read_all(original: _Method) -> _Method:
    def read(self: dspy.Example, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, dspy.Prediction):
            for name in fields_of(self) or ():
                note_read(self, name)
        return original(self, *args, **kwargs)

    return read


def _read_score(original: _Method) -> _Method:
    def __float__(self: dspy.Prediction) -> float:  # noqa: N807
        note_read(self, "score")
        return original(self)

    return __float__


def _site(value: Any) -> Site:
    where = active.get()
    site = None if where is None else where.site(value)
    return _UNKNOWN if site is None else site


def _op(site: Site, value: Any) -> str:
    return site.op or (str(value.name) if isinstance(value, dspy.Tool) else type(value).__name__)


def _own(predictor: dspy.Predict) -> dspy.Predict:
    """``predictor``, or a changed copy of it if it is an original with other values now.

    A copy of ours (and a copy of one, as ``BestOfN`` makes) holds its values already.
    """
    where = active.get()
    state = object.__getattribute__(predictor, "__dict__")
    site = None if where is None or MARK in state else where.site(predictor)
    if site is None or not differs(predictor, site):
        return predictor
    made = copy(predictor)
    change(made, site)
    return made


@contextmanager
def _in_place_of(original: dspy.Predict, own: dspy.Predict) -> Generator[None]:
    """Let histories be written on the copy and not on the user's predictor, while we run it."""
    callers = [own if m is original else m for m in dspy.settings.caller_modules or ()]
    with dspy.context(caller_modules=callers):
        yield


def _note_context(module: dspy.Module) -> None:
    """Keep the context of the outermost module, for threads that will not inherit it."""
    run = active.get()
    if isinstance(run, Run) and run.program is module:
        run.context = contextvars.copy_context()


def _inputs(kwargs: dict[str, Any]) -> Mapping[str, Any]:
    if any(name in kwargs for name in _ASIDE):
        return {name: value for name, value in kwargs.items() if name not in _ASIDE}
    return kwargs


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    return {**{str(index): value for index, value in enumerate(args)}, **kwargs} if args else kwargs
