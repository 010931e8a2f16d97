"""The seams: methods of LangChain's and LangGraph's classes that report to the run they are in."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.output_parsers.base import BaseGenerationOutputParser
from langchain_core.output_parsers.transform import BaseTransformOutputParser
from langchain_core.prompts import BasePromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RouterRunnable, RunnableBranch, RunnableLambda
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.tools import BaseTool

from trace_bridge import SeamPlace, seams_installed
from trace_bridge_langchain import components as make
from trace_bridge_langchain import streams


@contextmanager
def instrumented() -> Generator[None]:
    """Have the seams on components installed."""
    with seams_installed(_places):
        yield


def _places() -> Iterator[SeamPlace]:
    """Classes, their methods, and what makes a seam of each; methods that are absent are left."""
    yield BasePromptTemplate, "invoke", make.prompt
    yield BasePromptTemplate, "ainvoke", make.aprompt
    for kind in (BaseRetriever, BaseOutputParser, BaseGenerationOutputParser):
        yield kind, "invoke", make.component
        yield kind, "ainvoke", make.acomponent
    for kind in (RunnableBranch, RouterRunnable):
        yield kind, "invoke", make.component
        yield kind, "ainvoke", make.acomponent
        yield kind, "stream", streams.choice
        yield kind, "astream", streams.achoice
    yield DynamicRunnable, "prepare", make.prepared
    yield BaseTool, "run", make.component  # invoke() calls it
    yield BaseTool, "arun", make.acomponent
    yield BaseTransformOutputParser, "transform", streams.transform
    yield BaseTransformOutputParser, "atransform", streams.atransform
    yield RunnableLambda, "invoke", make.function
    yield RunnableLambda, "ainvoke", make.afunction
    yield RunnableLambda, "transform", streams.transform
    yield RunnableLambda, "atransform", streams.atransform
    for kind in (BaseChatModel, BaseLLM):
        yield kind, "invoke", make.model
        yield kind, "ainvoke", make.amodel
        yield kind, "stream", streams.stream
        yield kind, "astream", streams.astream
    yield BaseChatModel, "_generate_with_cache", make.generate
    yield BaseChatModel, "_agenerate_with_cache", make.agenerate
    yield BaseLLM, "_generate_helper", make.generate_texts
    yield BaseLLM, "_agenerate_helper", make.agenerate_texts
    runnable_callable = graph_node_class()
    if runnable_callable is not None:
        yield runnable_callable, "invoke", make.function
        yield runnable_callable, "ainvoke", make.afunction


def graph_node_class() -> type | None:
    """LangGraph's class for functions in graphs (private), where LangGraph is in use."""
    if "langgraph.pregel" not in sys.modules:
        return None
    module = sys.modules.get("langgraph._internal._runnable")  # from 0.6
    found = getattr(module, "RunnableCallable", None)
    if found is None:
        warnings.warn(
            f"langgraph {version('langgraph')} has no langgraph._internal._runnable"
            ".RunnableCallable: functions in graphs run with their own values, and only what they"
            " call is recorded; use a version of langgraph that trace-bridge-langchain knows",
            stacklevel=2,
        )
    return found
