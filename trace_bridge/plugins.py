"""The plugin manager: finds plugins by their entry points and checks what they implement."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import pluggy

from trace_bridge import hookspecs
from trace_bridge.optimizers.base import Factory
from trace_bridge.recording.agent import AgentModule
from trace_bridge.recording.nested import NestedModule
from trace_bridge.recording.nesting import Child
from trace_bridge.recording.routes import Routes

GROUP = "trace_bridge"


class PluginError(RuntimeError):
    """A plugin could not be loaded, or does not fit; the message names it and the remedy."""


@functools.cache
def installed() -> pluggy.PluginManager:
    """The manager with all installed plugins, loaded once per process.

    Raises:
        PluginError: naming the plugin that fails, the hook where there is one, and the remedy.
    """
    return load(entry_points(group=GROUP))


def load(points: Iterable[EntryPoint], plugins: Iterable[object] = ()) -> pluggy.PluginManager:
    """A manager with the plugins behind ``points``, and with ``plugins`` as they are."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    for point in points:
        try:
            plugin = point.load()
        except Exception as error:
            where = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            msg = (
                f"the plugin {point.name!r} ({where}) cannot be imported: {type(error).__name__}:"
                f" {error}. Upgrade or uninstall {where.split()[0]}."
            )
            raise PluginError(msg) from error
        _register(manager, plugin, point.name)
    for plugin in plugins:
        _register(manager, plugin, _name(manager, plugin))
    return manager


def with_plugins(plugins: Iterable[object]) -> pluggy.PluginManager:
    """The installed plugins and those of one run."""
    extra = list(plugins)
    manager = installed()
    if not extra:
        return manager
    for_run = load(())
    for name, plugin in manager.list_name_plugin():
        _register(for_run, plugin, name)
    for plugin in extra:
        _register(for_run, plugin, _name(for_run, plugin))
    return for_run


def _name(manager: pluggy.PluginManager, plugin: object) -> str:
    """A name for a plugin that was passed as an object; several may be of one class."""
    name = getattr(plugin, "__name__", type(plugin).__name__)
    return f"{name} {id(plugin):x}" if manager.has_plugin(name) else name


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    if manager.is_registered(plugin):  # an installed one that was passed as well
        return
    known = ", ".join(sorted(name for name in vars(manager.hook) if not name.startswith("_")))
    if isinstance(plugin, type):
        msg = f"the plugin {name!r} is a class: pass an instance, {name}()"
        raise PluginError(msg)
    if manager.has_plugin(name):
        msg = (
            f"two plugins are named {name!r}: {manager.get_plugin(name)!r} and {plugin!r}."
            " Uninstall one of them."
        )
        raise PluginError(msg)
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        msg = f"the plugin {name!r} does not fit: {error}. The hooks are: {known}."
        raise PluginError(msg) from error
    if not manager.get_hookcallers(plugin):
        msg = (
            f"the plugin {name!r} implements no hook. Mark its functions with"
            f" trace_bridge.hookimpl; the hooks are: {known}."
        )
        raise PluginError(msg)


def wrap(agent: object, manager: pluggy.PluginManager) -> AgentModule[Any] | None:
    """The Module that a plugin makes of ``agent``, or None if none knows it.

    It is one over all agents of other frameworks that are found inside, too.

    Raises:
        PluginError: a plugin made something else.
    """
    module = _wrapped(agent, manager)
    return None if module is None else _nested(module, manager)


def framework_of(value: object) -> str:
    """The framework whose agent ``value`` is, by the installed plugins; empty if it is none."""
    return _framework_of(value, _agents(installed()))


def _agents(manager: pluggy.PluginManager) -> dict[str, tuple[type, ...]]:
    found: dict[str, tuple[type, ...]] = {}
    for offer in cast("list[dict[str, tuple[type, ...]]]", manager.hook.agents()):
        found |= offer
    return found


def _framework_of(value: object, known: Mapping[str, tuple[type, ...]]) -> str:
    return next((name for name, kinds in known.items() if isinstance(value, kinds)), "")


def _nested(module: AgentModule[Any], manager: pluggy.PluginManager) -> AgentModule[Any]:
    """``module``, or one over it and the agents of other frameworks inside."""
    known = _agents(manager)
    if isinstance(module, NestedModule) or not known.keys() - {module.framework}:
        return module
    routes, children = Routes(), list[Child]()
    pending = deque[tuple[tuple[str, ...], AgentModule[Any]]]([((), module)])
    while pending:
        owners, holder = pending.popleft()

        def wanted(value: object, own: str = holder.framework) -> bool:
            return id(value) not in routes.known and _framework_of(value, known) not in ("", own)

        parts = [((*owners, *names), value) for names, value in holder.parts()]
        for names, value in list(routes.reached(parts, wanted)):
            inner = None if id(value) in routes.known else _wrapped(value, manager)
            if inner is None:
                continue
            inside = [value, *(part for _, part in inner.parts())]
            kinds = known[inner.framework]
            agents = {id(a): a for a in inside if isinstance(a, kinds)}
            callable_ = tuple(a for at, a in agents.items() if at not in routes.known)
            numbered = _numbered(names, children)
            children.append(Child(numbered, inner, callable_))
            routes.known.update(id(part) for _, part in inner.parts())
            routes.known.discard(id(value))
            pending.append((numbered, inner))
    if not children:
        return module
    return NestedModule(module, children, routes, lambda other: _nested(other, manager))


def _numbered(owners: tuple[str, ...], children: Sequence[Child]) -> tuple[str, ...]:
    """``owners``, numbered if another child has that name."""
    again = sum(child.owners == owners for child in children)
    return (*owners[:-1], f"{owners[-1]}#{again + 1}") if again else owners


def _wrapped(agent: object, manager: pluggy.PluginManager) -> AgentModule[Any] | None:
    if isinstance(agent, AgentModule):
        return agent  # pyright: ignore[reportUnknownVariableType]
    made: object = manager.hook.wrap(agent=agent)
    if made is not None and not isinstance(made, AgentModule):
        msg = (
            f"a plugin's hook wrap returned {type(made).__qualname__} for"
            f" {type(agent).__qualname__}: it has to return a trace_bridge.AgentModule, or None"
        )
        raise PluginError(msg)
    return made  # pyright: ignore[reportUnknownVariableType]


def offered_optimizers(
    manager: pluggy.PluginManager, taken: Iterable[str] = ()
) -> dict[str, Factory]:
    """The optimizers of all plugins, by name.

    Raises:
        PluginError: for a name in ``taken``, or that two plugins offer, or what is no optimizer.
    """
    reserved = set(taken)
    found: dict[str, Factory] = {}
    for offer in cast("list[dict[str, Factory]]", manager.hook.optimizers()):
        for name, factory in offer.items():
            if name in reserved or name in found:
                msg = (
                    f"a plugin's hook optimizers offers {factory!r} as {name!r}, which is the name"
                    f" of {found.get(name, 'one of ours')}: give it another"
                )
                raise PluginError(msg)
            if not callable(factory):
                msg = (
                    f"a plugin's hook optimizers offers {factory!r} as {name!r}: it has to be a"
                    " subclass of trace_bridge.Optimizer, or a function of llm= and seed="
                )
                raise PluginError(msg)
            found[name] = factory
    return found


@contextmanager
def instrumented(manager: pluggy.PluginManager) -> Generator[None]:
    """All plugins' seams together, since frameworks nest."""
    with ExitStack() as stack:
        for seams in manager.hook.instrument():
            stack.enter_context(seams)
        yield
