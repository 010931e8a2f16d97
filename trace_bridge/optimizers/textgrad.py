"""TextGrad: criticism travels from the outputs back to the parameters, one operation at a time.

The method is Yuksekgonul et al., "TextGrad: Automatic Differentiation via Text" (2024): a critic
that is asked at every operation what was wrong with its inputs, given what was said of its output,
and an updater that rewrites a variable to answer all criticism of it. The wording is ours.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, TypeVar

from trace_bridge.graph import Node, Operator, Parameter, Subgraph
from trace_bridge.graph.program import Program, fitted
from trace_bridge.graph.shown import shown
from trace_bridge.llm.base import LLM, Message, Reply, complete
from trace_bridge.optimizers.answer import FORM, ask, model_for
from trace_bridge.optimizers.base import Optimizer, Proposal, StepPlan, Trial, reached
from trace_bridge.optimizers.reply import ReplyError, read_reply

_T = TypeVar("_T")

_SECTION = 8  # values of full length take as much as a section of a prompt may

_CRITIC = """\
You criticise the inputs of one step of a program, so that somebody else can improve them. You are \
shown the step, what went in, what came out, and what was said of what came out. For each input \
that you are asked about, say what in it has led to this, and how it should have been different \
for something better to come out, here and in other cases. Say so if an input is not to blame. Be \
specific and brief, and do not write the input anew.

Answer in this form, with one <variable> for each input that you are asked about:
<variable name="the name as shown">
your criticism
</variable>"""

_UPDATER = f"""\
You improve a variable of a program by the criticism that it has met. You are shown its value, \
what it is for, and the criticism, which comes from several runs. Write a value that answers all \
of it and will do better on new inputs too: general rules, not answers to the shown cases. Keep \
what was not criticised, whatever a constraint asks for, and placeholders in braces.

{FORM}"""


class TextGrad(Optimizer):
    """Walks each run backward, criticises what it meets, and rewrites the parameters.

    A step costs one call for each operation of each run through which a parameter reaches an
    output, and one for each parameter that was criticised: 3 runs of an agent with 2 model calls
    after each other and a prompt for each cost 3 x 2 + 2 = 8. What leads to no parameter is not
    asked about, nor are runs that have reached ``threshold``. Operators count as operations: bundle
    a computation into one function to make it one.

    Args:
        parameters: see ``Optimizer``; demonstrations are left alone.
        llm: the model that criticises and writes. By default that of TRACE_BRIDGE_MODEL.
        minibatch: how many runs are criticised at a step.
        threshold: the score from which there is nothing to criticise in a run.
        limit: characters that a value of a run takes in a prompt; all inputs of an operation, or
            all that was said of its output, take eight times as many at most.
        seed: see ``Optimizer``.
    """

    name: ClassVar[str] = "textgrad"
    needs_llm: ClassVar[bool] = True

    def __init__(
        self, parameters: Iterable[Parameter | Operator[..., object]] = (), llm: LLM | None = None,
        *, minibatch: int = 3, threshold: float = 1.0, limit: int = 2000, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, llm, seed=seed)
        self.minibatch = minibatch
        self.threshold = threshold
        self.limit = limit

    def plan(self, history: Sequence[Trial]) -> StepPlan:
        """One proposal a step, in answer to the minibatch."""
        return StepPlan(self.name, self.minibatch, proposals=1, gated=True)

    def settings(self) -> Mapping[str, object]:
        """See ``Optimizer``."""
        return {
            **super().settings(), "minibatch": self.minibatch, "threshold": self.threshold,
            "limit": self.limit, "prompt": [_CRITIC, _UPDATER],
        }  # fmt: skip

    async def propose(
        self, subgraphs: Sequence[Subgraph], parameters: Sequence[Parameter],
        history: Sequence[Trial], n: int = 1,
    ) -> list[Proposal]:  # fmt: skip
        """Criticise once, and rewrite ``n`` times.

        Raises:
            ValueError: if there is no model to ask.
            ModelUnavailableError, BudgetExhaustedError: see ``complete``.
        """
        llm = model_for(self)
        blamed = [p for p in reached(subgraphs, parameters) if p.kind != "demos"]
        bad = [g for g in subgraphs if g.score is None or g.score < self.threshold]
        found = await _together(self._criticised(llm, graph, set(blamed)) for graph in bad)
        gathered = {
            parameter: list(chain.from_iterable(run.get(parameter, ()) for run in found))
            for parameter in blamed
        }
        criticism = {parameter: texts for parameter, texts in gathered.items() if texts}
        if not criticism:
            why = "the critic said nothing of any variable"
            return [Proposal((), why, self.name)] if bad and blamed else []
        return [await self._updated(llm, criticism) for _ in range(n)]

    async def _criticised(
        self, llm: LLM, graph: Subgraph, parameters: set[Parameter]
    ) -> dict[Node, list[str]]:
        """What is to be said of each node of a run, by way of what was said of its outputs."""
        leads: set[Node] = set(parameters)
        for node in graph.nodes:
            if not leads.isdisjoint(graph.inputs(node)[0]):
                leads.add(node)
        said: dict[Node, list[str]] = {}
        for node, given in graph.feedback:
            said.setdefault(node, []).append(str(given))
        for node in graph.backward():
            asked = [p for p in dict.fromkeys(graph.inputs(node)[0]) if p in leads]
            if asked and node in said:
                answers = await self._ask_critic(llm, graph, node, asked, said[node])
                for parent, text in answers.items():
                    said.setdefault(parent, []).append(text)
        return said

    async def _ask_critic(
        self, llm: LLM, graph: Subgraph, node: Node, asked: Sequence[Node], said: Sequence[str]
    ) -> dict[Node, str]:
        """One call: what is wrong with some of the inputs of ``node``."""
        names = _names(node, graph)
        arguments = ", ".join(names.values())
        sections = {
            "step": self._fitted([f"{node.op}({arguments})", *filter(None, [node.description])]),
            "inputs": self._fitted([self._shown(p, name, graph) for p, name in names.items()]),
            "output": shown(node.peek(), self.limit),
            "said of the output": self._fitted([f"- {text}" for text in said]),
            "inputs that you are asked about": ", ".join(names[parent] for parent in asked),
        }
        text = "\n\n".join(f"# {title}\n{body}" for title, body in sections.items())
        messages: list[Message] = [
            {"role": "system", "content": _CRITIC},
            {"role": "user", "content": text},
        ]
        answers = _read(await complete(llm, messages), [names[parent] for parent in asked])
        return {parent: answers[names[parent]] for parent in asked if names[parent] in answers}

    def _fitted(self, texts: Sequence[str]) -> str:
        """The texts, in no more room than some values take: a run may hold anything."""
        return fitted(texts, _SECTION * self.limit)

    def _shown(self, node: Node, name: str, graph: Subgraph) -> str:
        about = constraint = ""
        value = node.peek()
        if isinstance(node, Parameter):
            value = graph.values.get(node, value)
            about = f"<about>{node.description}</about>\n" if node.description else ""
            constraint = f"<constraint>{node.constraint}</constraint>\n" if node.constraint else ""
        return f'<input name="{name}">\n{about}{constraint}{shown(value, self.limit)}\n</input>'

    async def _updated(self, llm: LLM, criticism: Mapping[Parameter, Sequence[str]]) -> Proposal:
        """One call for each parameter."""
        parts = await _together(
            self._rewritten(llm, parameter, texts) for parameter, texts in criticism.items()
        )
        changes = tuple(chain.from_iterable(part.changes for part in parts))
        reasons = "\n".join(dict.fromkeys(part.reasoning for part in parts if part.reasoning))
        return Proposal(changes, reasons, self.name)

    async def _rewritten(self, llm: LLM, parameter: Parameter, texts: Sequence[str]) -> Proposal:
        program = Program([parameter])
        said = self._fitted([f"<criticism>\n{text}\n</criticism>" for text in texts])
        text = f"# variable\n{program.variables()}\n\n# criticism\n{said}"
        messages: list[Message] = [
            {"role": "system", "content": _UPDATER},
            {"role": "user", "content": text},
        ]
        return await ask(llm, program, messages, self.name)


def _names(node: Node, graph: Subgraph) -> dict[Node, str]:
    """A name for each input of ``node``: what it goes by there, or its own."""
    found: dict[Node, str] = {}
    for parent, label in zip(*graph.inputs(node), strict=True):
        if parent not in found:
            wish = label or parent.name
            number = 1
            while (name := f"{wish}_{number}" if number > 1 else wish) in found.values():
                number += 1
            found[parent] = name
    return found


def _read(reply: Reply, names: Sequence[str]) -> dict[str, str]:
    """Criticism by input. Without tags that fit all of the text is: only a model will read it."""
    try:
        given = read_reply(reply.text, reply.finish_reason).values
    except ReplyError:
        given = {}
    found = {name: str(text) for name, text in given.items() if name in names}
    text = reply.text.strip()
    return found or (dict.fromkeys(names, text) if text else {})


async def _together(jobs: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """All results, in order. All jobs are finished before an error of one of them leaves."""
    import asyncio

    done: list[_T] = []
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
