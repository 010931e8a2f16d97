"""What an agent keeps between calls, and evaluations that neither find nor leave anything there.

A graph's checkpointer keeps its state by thread, its cache the results of nodes, by name and input
and not by what the node is; a message history is kept by session.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig

if TYPE_CHECKING:
    from trace_bridge_langchain.discovery import Walk


class Sessions:
    """What keeps something between calls in an agent.

    Attributes:
        graphs: graphs with a checkpointer or a cache.
        keys: of the config, by which it is kept, and which the agent does not bind itself.
    """

    def __init__(self, walk: Walk) -> None:
        every = (item.value for item in walk.found.values())
        found: list[Any] = [value for value in every if isinstance(value, Runnable)]
        self.graphs = [value for value in found if _saver(value) or _cache(value)]
        self.keys = {"thread_id"} if any(map(_saver, self.graphs)) else set[str]()
        bound: set[str] = set()
        for value in found:
            if isinstance(value, RunnableBinding):
                bound |= (value.config.get("configurable") or {}).keys()
            if hasattr(value, "get_session_history"):
                self.keys |= {spec.id for spec in value.history_factory_config}
        self.keys -= bound - {"thread_id"}

    def config(self) -> RunnableConfig | None:
        """The config of an evaluation, whose thread or session is new."""
        if not self.keys:
            return None
        fresh = f"trace_bridge-{uuid4()}"
        return {"configurable": dict.fromkeys(sorted(self.keys), fresh)}

    def fresh(self, *, alone: bool) -> Mapping[int, Mapping[str, object]]:
        """What graphs with other values have of their own, by id and attribute.

        Args:
            alone: a checkpointer too, in memory.
        """
        found: dict[int, dict[str, object]] = {}
        for graph in self.graphs:
            held = found[id(graph)] = dict[str, object]()
            if (cache := _cache(graph)) is not None:
                from langgraph.cache.memory import InMemoryCache

                held["cache"] = InMemoryCache(serde=cache.serde)
            if alone and (saver := _saver(graph)) is not None:
                from langgraph.checkpoint.memory import InMemorySaver

                held["checkpointer"] = InMemorySaver(serde=saver.serde)
        return found


def _saver(value: Any) -> Any:
    """The checkpointer of a graph, if it has one of its own."""
    module = sys.modules.get("langgraph.checkpoint.base")
    held = getattr(value, "checkpointer", None) if module and hasattr(value, "nodes") else None
    return held if module and isinstance(held, module.BaseCheckpointSaver) else None


def _cache(value: Any) -> Any:
    """The cache of a graph, for the results of its nodes."""
    module = sys.modules.get("langgraph.cache.base")
    held = getattr(value, "cache", None) if module and hasattr(value, "nodes") else None
    return held if module and isinstance(held, module.BaseCache) else None
