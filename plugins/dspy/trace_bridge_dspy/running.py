"""Runs: light copies of a program at work, and how a call finds the run that it belongs to."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import dspy
from dspy.dsp.utils.settings import main_thread_config, thread_local_overrides

from trace_bridge import Slot
from trace_bridge_dspy.copies import LightCopy
from trace_bridge_dspy.layout import Layout, Site
from trace_bridge_dspy.slots import rebake

MARK = "_trace_bridge_run"  # the attribute of our copies (never of the user's objects)


class Attached:
    """Calls of a program's own objects read the parameters of ``layout``."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def site(self, value: Any) -> Site | None:
        """What is known of ``value``, a predictor, module or tool."""
        return self.layout.site(value)

    @contextmanager
    def entered(self) -> Generator[None]:
        """Let this be what calls in this context belong to."""
        with self.called():
            yield

    @contextmanager
    def called(self) -> Generator[Callable[[Any], Any]]:
        """As ``entered``, which may be done again; gives what finds the object to use for one."""
        token = active.set(self)
        try:
            yield self.find
        finally:
            active.reset(token)

    def find(self, original: Any) -> Any:
        """What runs in place of an object of the program."""
        return original


class Run(Attached):
    """One execution of a copy that was made for it with the values current now."""

    def __init__(self, layout: Layout, program: dspy.Module) -> None:
        super().__init__(layout)
        self.alive = True
        copy = self._copy = LightCopy()
        self.program: dspy.Module = copy.copy(program)
        # keyed by identity, which is safe as long as the run keeps the copies
        self.sites: dict[int, Site] = {}
        self._copies: list[Any] = []
        for item in layout.walk.found:
            made = copy.find(item.value)
            if made is not None:
                site = self.sites[id(made)] = layout.sites[id(item.value)]
                self._copies.append(made)
                change(made, site)
                if isinstance(made, dspy.Module):
                    object.__getattribute__(made, "__dict__")[MARK] = self
        self.context = contextvars.copy_context()

    def __deepcopy__(self, memo: object) -> Run:
        return self  # a deep copy of our copy (BestOfN) belongs to the same run

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()  # a run is no part of what a user pickles

    def site(self, value: Any) -> Site | None:
        """What is known of ``value``: a copy of this run, a copy of one, or an original."""
        return self.sites.get(id(value)) or self.layout.site(value)

    @contextmanager
    def entered(self) -> Generator[None]:
        """Run in this context, once."""
        try:
            with self.called():
                yield
        finally:
            self.end()

    @contextmanager
    def called(self) -> Generator[Callable[[Any], Any]]:
        """Run in this context, with DSPy's trace (a list that it appends to) of its own."""
        own: dict[str, Any] = {} if dspy.settings.trace is None else {"trace": []}
        with super().called() as find, dspy.context(**own):
            self.context = contextvars.copy_context()
            yield find

    def find(self, original: Any) -> Any:
        """The copy of an object of the program; itself, if none was made."""
        made = self._copy.find(original)
        return original if made is None else made

    def end(self) -> None:
        """Let go of the copies, and they of us: nothing is left for the garbage collector."""
        self.alive = False
        for made in self._copies:
            if isinstance(made, dspy.Module):
                object.__getattribute__(made, "__dict__").pop(MARK, None)
        self._copies.clear()
        self._copy = LightCopy()
        self.sites.clear()

    def reenter(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``function`` in the run's context, from a thread that did not inherit it.

        The recording, the gate, the values and DSPy's settings are those of the run; what the
        thread itself has set with ``dspy.context`` stays on top.
        """
        own = _own_settings()

        def inside() -> Any:
            with dspy.context(**own):
                return function(*args, **kwargs)

        return self.context.copy().run(inside)

    async def areenter(
        self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **kwargs: Any
    ) -> Any:
        """``reenter`` for a coroutine function."""
        own = _own_settings()

        async def inside() -> Any:
            with dspy.context(**own):
                return await function(*args, **kwargs)

        loop = asyncio.get_running_loop()
        return await loop.create_task(inside(), context=self.context.copy())


active: ContextVar[Attached | None] = ContextVar("trace_bridge_dspy_active", default=None)


def stray(module: dspy.Module) -> Run | None:
    """The run that ``module`` is a copy for, if this context is not inside it (a raw thread)."""
    run = object.__getattribute__(module, "__dict__").get(MARK)
    if run is None or not run.alive or active.get() is run:
        return None
    return run


def write(owner: Any, site: Site, values: Callable[[Slot], object]) -> None:
    """Give ``owner``, of that site or a copy, the values that it does not hold yet."""
    for slot in site.slots:
        value = values(slot)
        if value != site.own(slot, owner):
            slot.put(owner, value)


def change(value: Any, site: Site) -> None:
    """Give a copy of a predictor or tool the values that are current."""
    write(value, site, lambda slot: _current(site, slot))
    if site.tools:
        rebake(value, site.tools, lambda slot: _shown(site, slot))


def differs(predictor: dspy.Predict, site: Site) -> bool:
    """Whether other values than the predictor's own are current."""
    own = any(_current(site, slot) != site.own(slot, predictor) for slot in site.slots)
    return own or any(_shown(site, slot) != slot.get() for slot in site.tools)


def _current(site: Site, slot: Slot) -> object:
    return site.parameters[slot.path.rpartition(":")[2]].peek()


def _shown(site: Site, slot: Slot) -> object:
    return site.parameters[f"tools.{cast('dspy.Tool', slot.owner).name}"].peek()


def _own_settings() -> dict[str, Any]:
    """What this thread has set; DSPy 3.0 copies the global settings into it as well."""
    overrides: dict[str, Any] = thread_local_overrides.get()
    return {k: v for k, v in overrides.items() if v is not main_thread_config.get(k)}


def _nothing() -> None:
    return None
