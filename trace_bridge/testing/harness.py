"""What the conformance suite checks plugins with: runs as the engine makes them, and snapshots."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from trace_bridge.graph import Node
from trace_bridge.llm.base import BudgetExhaustedError, ModelCall, gate
from trace_bridge.recording import Recorder, link
from trace_bridge.recording.agent import AgentModule

UNLIMITED = 10**6
_ATOMS = (str, bytes, int, float, complex, bool, type(None))
_CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_PYTHONS_OWN = ("__dict__", "__weakref__", "__doc__", "__annotations__")

State: TypeAlias = Mapping[str, object]
Check: TypeAlias = Callable[[Any], None]


class RuleBrokenError(AssertionError):
    """A plugin breaks a rule; the message starts with the rule's name."""


def rule(name: str) -> Callable[[Check], Check]:
    """A test whose failures, of whatever sort, name this rule."""

    def named(check: Check) -> Check:
        @functools.wraps(check)
        def test(suite: Any) -> None:
            try:
                check(suite)
            except RuleBrokenError as error:
                error.args = (f"{name}: {error}",)
                raise
            except NotImplementedError:  # the suite is unfinished, not the plugin
                raise
            except Exception as error:
                msg = f"{name}: {type(error).__name__}: {error}"
                raise RuleBrokenError(msg) from error

        return test

    return named


def require(condition: object, why: str) -> None:
    """Fail if the condition does not hold."""
    if not condition:
        msg = f"{why}."
        raise RuleBrokenError(msg)


def raises(error: type[Exception], function: Callable[..., object], *args: object) -> bool:
    """Whether the function raises such an error."""
    try:
        function(*args)
    except error:
        return True
    return False


def entering(module: AgentModule[Any]) -> Callable[[State], None]:
    """``module.using`` as a verb that enters it and leaves again."""

    def using(state: State) -> None:
        with module.using(state):
            pass

    return using


def waited(value: object) -> object:
    """``value``, or what it gives if it is a coroutine."""

    async def wait() -> object:
        return await cast("Awaitable[object]", value)

    return asyncio.run(wait()) if inspect.isawaitable(value) else value


class Meter:
    """A gate that allows so many model calls, and counts."""

    def __init__(self, limit: int = UNLIMITED) -> None:
        self.limit = limit
        self.asked = 0
        self._lock = threading.Lock()

    @property
    def admitted(self) -> int:
        """The calls that were allowed."""
        return min(self.asked, self.limit)

    def admit(self, call: ModelCall) -> object:
        """See ``Gate``."""
        with self._lock:
            self.asked += 1
            if self.asked > self.limit:
                msg = f"no more calls of {call.model} are allowed"
                raise BudgetExhaustedError(msg)
        return None

    def settle(self, call: ModelCall, admitted: object) -> None:
        """See ``Gate``."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: its output or error, its graph, and what the gate saw."""

    output: object
    error: Exception | None
    node: Node
    meter: Meter


class Runner:
    """Runs a module on one example as the engine does."""

    def __init__(self, module: AgentModule[Any], example: Any) -> None:
        self.module = module
        self.example = example

    async def arun(self, state: State, limit: int = UNLIMITED) -> Ran:
        """Run with ``state`` and at most ``limit`` model calls; the agent's errors are kept."""
        meter, recorder = Meter(limit), Recorder(self.module.inputs(self.example))
        output, failure = None, None
        token = gate.set(meter)
        try:
            with self.module.using(state), recorder.recording() as root:
                output = self.module.run(self.example)
                if inspect.isawaitable(output):
                    output = await cast("Awaitable[object]", output)
                root.returns(output, self.module.fields(output))
        except Exception as error:  # noqa: BLE001 (it is the result)
            failure = error
        finally:
            gate.reset(token)
        return Ran(output, failure, link(recorder), meter)

    def attempt(self, state: State, limit: int = UNLIMITED) -> Ran:
        """``arun`` in a context and an event loop of its own."""
        return contextvars.copy_context().run(lambda: asyncio.run(self.arun(state, limit)))

    def run(self, state: State) -> Ran:
        """``attempt``, for a run that has to go well."""
        return _good(self.attempt(state))

    def in_threads(self, states: Sequence[State]) -> list[Ran]:
        """Run all at once in threads, each in a copy of this context."""
        with ThreadPoolExecutor(len(states)) as pool:
            jobs = [pool.submit(contextvars.copy_context().run, self.run, s) for s in states]
            return [job.result() for job in jobs]

    def in_tasks(self, states: Sequence[State]) -> list[Ran]:
        """Run all at once as tasks of one event loop."""

        async def gathered() -> list[Ran]:
            return await asyncio.gather(*(self.arun(state) for state in states))

        return [_good(ran) for ran in asyncio.run(gathered())]


def _good(ran: Ran) -> Ran:
    if ran.error is not None:
        raise ran.error
    return ran


def deep(value: object) -> object:
    """All that ``value`` holds, as something that can be compared while ``value`` lives."""
    return _deep(value, {})


def _deep(value: object, seen: dict[int, int]) -> object:
    if isinstance(value, _ATOMS):
        return value
    if isinstance(value, _CODE):
        return "code", getattr(value, "__qualname__", id(value))
    if id(value) in seen:
        return "seen", seen[id(value)]
    seen[id(value)] = len(seen)
    kind = type(value).__qualname__
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return kind, [(str(key), _deep(item, seen)) for key, item in pairs]
    if isinstance(value, (list, tuple)):
        return kind, [_deep(item, seen) for item in cast("list[object]", value)]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, cast("set[object]", value)))
    held = {name: _deep(item, seen) for name, item in attributes(value)}
    return kind, id(value), held


def attributes(value: object) -> Iterator[tuple[str, object]]:
    """What an object holds in its ``__dict__`` and its slots."""
    found: object = getattr(value, "__dict__", None)
    if isinstance(found, dict):
        yield from list(cast("dict[str, object]", found).items())
    for kind in type(value).__mro__:
        slots = cast("str | Iterable[str]", vars(kind).get("__slots__", ()))
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in _PYTHONS_OWN and hasattr(value, name):
                yield name, getattr(value, name)


def code_of(agent: object, packages: Sequence[str]) -> dict[str, dict[str, object]]:
    """What a plugin could patch: the classes that the agent is made of, and those in ``packages``.

    By name of the class or module, with the attributes that it has itself (functions, for modules).
    """
    kinds = {kind for held in _reachable(agent) for kind in type(held).__mro__}
    found: dict[str, dict[str, object]] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in packages:
            held = list(vars(module).values())
            kinds.update(kind for kind in held if isinstance(kind, type))
            found[name] = {
                key: value
                for key, value in vars(module).items()
                if isinstance(value, types.FunctionType)
            }
    for kind in kinds:
        if kind.__flags__ & _HEAP_TYPE:  # others cannot be patched
            found[f"{kind.__module__}.{kind.__qualname__}"] = {
                name: value
                for name, value in vars(kind).items()
                if name not in _PYTHONS_OWN and not name.startswith("_abc")
            }
    return found


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that a ``class`` statement made


def _reachable(root: object) -> Iterator[object]:
    pending, seen = [root], dict[int, object]()  # kept, or another object could get the id
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, (*_ATOMS, *_CODE)):
            continue
        seen[id(value)] = value
        yield value
        if isinstance(value, Mapping):
            pending += list(cast("Mapping[object, object]", value).values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            pending += list(cast("Sequence[object]", value))
        else:
            pending += [held for _, held in attributes(value)]


def patched(before: Mapping[str, State], after: Mapping[str, State]) -> list[str]:
    """The attributes of ``before`` that are no longer the same objects, and new ones of classes."""
    missing = object()
    return [
        f"{owner}.{name}"
        for owner, held in before.items()
        for name in {**held, **after.get(owner, {})}
        if held.get(name, missing) is not after.get(owner, {}).get(name, missing)
        and (name in held or owner not in sys.modules)  # modules may import more as they go
    ]
