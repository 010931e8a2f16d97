"""Asking a model for new values: what optimizers that write values have in common."""

from __future__ import annotations

from collections.abc import Sequence

from trace_bridge.graph.program import Program
from trace_bridge.llm.base import LLM, Message, complete
from trace_bridge.llm.lite import configured
from trace_bridge.optimizers.base import Change, Optimizer, Proposal, judge_change
from trace_bridge.optimizers.reply import ReplyError, read_reply, typed

FORM = """\
Answer in this form, with one <variable> for each variable that you change, and its new value \
whole:
<reasoning>why this will do better</reasoning>
<variable name="the name as shown">
the new value
</variable>"""


def model_for(optimizer: Optimizer) -> LLM:
    """The model that ``optimizer`` asks: its own, or that of TRACE_BRIDGE_MODEL.

    Raises:
        ValueError: there is none.
    """
    llm = optimizer.llm or configured()
    if llm is None:
        msg = (
            f"{type(optimizer).__name__} needs a model that proposes: pass llm=, or set"
            " TRACE_BRIDGE_MODEL; the bootstrap optimizer needs none"
        )
        raise ValueError(msg)
    return llm


async def ask(llm: LLM, program: Program, messages: Sequence[Message], name: str) -> Proposal:
    """The proposal that a model makes for the program's variables; ``name`` is the optimizer's.

    Raises:
        ModelUnavailableError, BudgetExhaustedError: see ``complete``.
    """
    reply = await complete(llm, messages)
    try:
        suggestions = read_reply(reply.text, reply.finish_reason)
    except ReplyError as error:
        return Proposal((), str(error), name)
    changes = tuple(_change(program, *item) for item in suggestions.values.items())
    return Proposal(changes, suggestions.reasoning, name)


def _change(program: Program, name: str, text: str) -> Change:
    parameter = program.parameter_named(name)
    if parameter is None:
        return Change(name, None, text, accepted=False, reason="is not one of the variables")
    try:
        return judge_change(parameter, typed(parameter, text))
    except ReplyError as error:
        return Change(parameter.name, parameter.peek(), text, accepted=False, reason=str(error))
