"""Tools, memories and code: what agents use besides models."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, cast

from autogen_core.memory import ListMemory
from autogen_core.tools import BaseTool, FunctionTool, ToolResult

from trace_bridge import Call, Parameter, current_call
from trace_bridge_autogen.running import Attached, Scope, attached
from trace_bridge_autogen.turns import stepwise


def call_tool(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``Workbench.call_tool``."""

    async def call_tool(
        self: Any, name: str, arguments: Any = None, cancellation_token: Any = None,
        call_id: str | None = None,
    ) -> Any:  # fmt: skip
        made = _begun(self, name, arguments, call_id)
        given = (name, arguments, cancellation_token, call_id)
        if made is None:
            return await original(self, *given)
        with made:
            result = await original(self, *given)
            _returned(made, result)
        return result

    return call_tool


def call_tool_stream(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``StreamWorkbench.call_tool_stream``."""

    def call_tool_stream(
        self: Any, name: str, arguments: Any = None, cancellation_token: Any = None,
        call_id: str | None = None,
    ) -> Any:  # fmt: skip
        made = _begun(self, name, arguments, call_id)
        given = (name, arguments, cancellation_token, call_id)
        if made is None:
            return original(self, *given)

        def seen(item: object) -> None:
            if isinstance(item, ToolResult):
                _returned(made, item)
                made.end()

        return stepwise(made, functools.partial(original, self, *given), seen)

    return call_tool_stream


def run_json(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``BaseTool.run_json``: handoffs, and tools that an agent's own code calls."""

    async def run_json(
        self: BaseTool[Any, Any], args: Any, cancellation_token: Any, call_id: str | None = None
    ) -> Any:
        where, call = attached(), current_call()
        at_work = None if where is None or call is None else where.tools.get(id(call))
        if where is None or call is None or (at_work and at_work[1] == self.name):
            return await original(self, args, cancellation_token, call_id=call_id)
        scope = where.scope(call)
        with _component(where, scope, call, self, args, call_id) as made:
            result = await original(self, args, cancellation_token, call_id=call_id)
            made.returns(result, {"": self.return_value_as_string(result)})
        return result

    return run_json


def _begun(bench: Any, name: str, arguments: Any, call_id: str | None) -> Call | None:
    where, call = attached(), current_call()
    if where is None or call is None:
        return None
    known = {tool.name: tool for tool in getattr(bench, "_tools", ())}
    original = getattr(bench, "_override_name_to_original", {}).get(name, name)
    scope = where.scope(call)
    return _component(where, scope, call, known.get(original, name), arguments, call_id)


def _component(
    where: Attached, scope: Scope | None, call: Call, tool: BaseTool[Any, Any] | str,
    arguments: object, call_id: str | None,
) -> Call:  # fmt: skip
    name = tool if isinstance(tool, str) else tool.name
    owner = "" if scope is None else f"{where.op(scope.owner)}/"
    op = where.op(tool) if where.at(tool) is not None else f"{owner}tools/{name}"
    asked = scope.asked.get(call_id) if scope is not None and call_id else None
    inputs: Mapping[str, object] = {"call": asked} if asked else dict(cast("Any", arguments) or {})
    parameters: dict[str, Parameter] = where.read(tool, "call")
    described = "" if isinstance(tool, str) else tool.description
    made = call.component(op, inputs, parameters, described)
    where.tools[id(made)] = (made, name)
    if scope is not None and call_id:
        scope.results[call_id] = made
    return made


def _returned(made: Call, result: ToolResult) -> None:
    made.returns(result, {"": result.to_text()})


def run_function(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``FunctionTool.run``, which gives plain functions to a thread without context."""

    async def run(self: FunctionTool, args: Any, cancellation_token: Any) -> Any:
        if current_call() is None or inspect.iscoroutinefunction(self._func):
            return await original(self, args, cancellation_token)
        context, function = copy_context(), self._func
        made = copy.copy(self)
        made._func = lambda *given, **named: context.run(function, *given, **named)  # type: ignore[misc]
        return await original(made, args, cancellation_token)

    return run


def update_context(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``Memory.update_context``."""

    async def update_context(self: Any, model_context: Any) -> Any:
        where, call = attached(), current_call()
        if where is None or call is None:
            return await original(self, model_context)
        inputs: dict[str, object] = {}
        if not isinstance(self, ListMemory):  # which tells all that it knows
            messages = await model_context.get_messages()
            if messages:
                last = messages[-1]
                inputs = {"query": where.bound(last) or last.content}
        with call.component(where.op(self), inputs, where.read(self, "call")) as made:
            result = await original(self, model_context)
            found = [str(memory.content) for memory in result.memories.results]
            made.returns(result, {"": "\n".join(found)})
        return result

    return update_context


def execute_code_blocks(original: Callable[..., Any]) -> Callable[..., Any]:
    """The seam of ``CodeExecutor.execute_code_blocks``."""

    async def execute_code_blocks(self: Any, code_blocks: Any, *args: Any, **kwargs: Any) -> Any:
        where, call = attached(), current_call()
        if where is None or call is None or not inspect.isroutine(original):
            return await original(self, code_blocks, *args, **kwargs)
        scope = where.scope(call)
        owner = "code" if scope is None else f"{where.op(scope.owner)}/code"
        inputs = {
            f"block.{at}": _writer(scope, block.code) for at, block in enumerate(code_blocks, 1)
        }
        with call.component(owner, inputs, {}) as made:
            result = await original(self, code_blocks, *args, **kwargs)
            made.returns(result, {"": result.output})
        return result

    return execute_code_blocks


def _writer(scope: Scope | None, code: str) -> object:
    """The model call that wrote a block of code; the code itself where that is not known."""
    for call in reversed(scope.models if scope is not None else []):
        if code.strip() and code.strip() in str(call.fields.get("", "")):
            return call
    return code
