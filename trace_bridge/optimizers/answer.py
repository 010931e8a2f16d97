"""Asking a model for new values: what optimizers that write values have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from trace_bridge.graph.guards import Phrases
from trace_bridge.graph.program import Program, shortened
from trace_bridge.llm.base import LLM, Message, complete
from trace_bridge.optimizers.base import Change, Optimizer, Proposal, judge_change
from trace_bridge.optimizers.reply import ReplyError, Suggestions, read_reply, typed

Read: TypeAlias = "Callable[[str, str], Suggestions]"

FORM = """\
Answer in this form, with one <variable> for each variable that you change, and its new value \
whole:
<reasoning>why this will do better</reasoning>
<variable name="the name as shown">
the new value
</variable>"""

_SHOWN = 8000  # characters of a reply that cannot be used, when the model is told so
_WORDS = 8  # of ours in a row that show that a value is not the model's own


def model_for(optimizer: Optimizer) -> LLM:
    """The model that ``optimizer`` asks: its own, or that of TRACE_BRIDGE_MODEL.

    Raises:
        ValueError: there is none.
    """
    from trace_bridge.llm.lite import configured

    llm = optimizer.llm or configured()
    if llm is None:
        raise ValueError(no_model(type(optimizer).__name__, ("bootstrap", "optuna")))
    return llm


def no_model(name: str, without: Iterable[str]) -> str:
    """What is to be said where an optimizer has no model: all ways to give it one.

    Args:
        name: the optimizer's.
        without: the optimizers that need none.
    """
    return (
        f"{name} needs a strong model that proposes, and none is configured. There are three ways:"
        ' pass llm= (to optimize, a LiteLLM name such as "openai/gpt-4o", a function or a'
        ' framework\'s client; to an optimizer, LiteLLM("openai/gpt-4o") or CallableLLM(function));'
        " set the environment variable TRACE_BRIDGE_MODEL to a LiteLLM name; or optimize an agent"
        " with a model client of its own framework, which then proposes as well (the embedded model"
        f" is too weak for that). Optimizers that need none: {', '.join(sorted(without))}."
    )


async def ask(
    llm: LLM, program: Program, messages: Sequence[Message], name: str,
    *, read: Read = read_reply, told: Sequence[str] = (),
) -> Proposal:  # fmt: skip
    """The proposal that a model makes for the program's variables; ``name`` is the optimizer's.

    What cannot be used is told to the model once, with the reason. What can be used of its second
    answer comes before what can be used of its first; the rest stays as it is, with the reason.

    Args:
        llm: the model.
        program: its parameters are what may be changed.
        messages: what the model is asked.
        name: the optimizer's.
        read: what a reply (its text and why it ended) suggests; raises ReplyError.
        told: the optimizer's own words, which are no part of a value, besides system messages.

    Raises:
        ModelUnavailableError, BudgetExhaustedError: see ``complete``.
    """
    system = [message["content"] for message in messages if message["role"] == "system"]
    wording = Phrases([*told, *system], _WORDS, _WORDS)
    conversation = list(messages)
    proposal = Proposal((), optimizer=name)
    for _ in range(2):
        reply = await complete(llm, conversation)
        try:
            suggestions = read(reply.text, reply.finish_reason)
        except ReplyError as error:
            problem = str(error)
            proposal = proposal if proposal.changes else Proposal((), problem, name)
        else:
            found = [_change(program, *item, wording) for item in suggestions.values.items()]
            refused = [change for change in found if not change.accepted]
            proposal = Proposal(_merged(proposal.changes, found), suggestions.reasoning, name)
            if not refused:
                break
            problem = "; ".join(f"{change.path} {change.reason}" for change in refused)
        said = shortened(problem, _SHOWN)
        retry = f"This cannot be used: {said}. Answer again, in full."
        conversation.append({"role": "assistant", "content": shortened(reply.text, _SHOWN)})
        conversation.append({"role": "user", "content": retry})
    return proposal


def _change(program: Program, name: str, given: object, wording: Phrases) -> Change:
    parameter = program.parameter_named(name)
    if parameter is None:
        return Change(name, None, given, accepted=False, reason="is not one of the variables")
    try:
        return judge_change(parameter, typed(parameter, given), wording)
    except ReplyError as error:
        return Change(parameter.name, parameter.peek(), given, accepted=False, reason=str(error))


def _merged(first: Sequence[Change], second: Sequence[Change]) -> tuple[Change, ...]:
    """``second``, with what was accepted in ``first`` and is not replaced by something better."""
    kept = {change.path: change for change in first if change.accepted}
    for change in second:
        if change.accepted or change.path not in kept:
            kept[change.path] = change
    return tuple(kept.values())
