"""The conformance suite for framework plugins: what ``optimize`` relies on, one test per rule.

A plugin's tests subclass ``PluginConformance`` and say how to make an agent; pytest (which this
module does not need) then runs every rule. Each failure starts with the rule's name.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import sys
import types
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

from trace_bridge.graph import Feedback, Node, jsonable, subgraph
from trace_bridge.llm.base import BudgetExhaustedError, ModelCall, Usage, gate
from trace_bridge.plugins import instrumented, load
from trace_bridge.recording import Recorder, link
from trace_bridge.recording.agent import AgentModule

_ROUNDS = 4  # how often each candidate runs in the tests of concurrency
Call = Callable[[], object]


class RuleBrokenError(AssertionError):
    """A plugin breaks a rule; the message starts with the rule's name."""


class PluginConformance:
    """The rules. Subclasses define ``plugin``, ``make_agent``, ``examples`` and ``call``."""

    plugin: object
    """The plugin: a module or object with hook implementations."""

    framework_modules: Sequence[str] = ()
    """Names of the framework's top-level modules; their classes must not stay patched."""

    def make_agent(self) -> Any:
        """A new agent; equal each time, with a fake model whose answer depends on its prompt.

        Every parameter that is trained by default must influence the output of each example.
        """
        raise NotImplementedError

    def examples(self) -> Sequence[Any]:
        """At least two examples, in the framework's form."""
        raise NotImplementedError

    def call(self, agent: Any, example: Any) -> object:
        """Call the agent as a user does, without trace_bridge."""
        raise NotImplementedError

    def changed(self, path: str, value: object, number: int) -> object:
        """Another value for a parameter, a different one for each ``number``."""
        if isinstance(value, str):
            return f"{value} Variant {number}."
        msg = f"define changed() for values such as that of {path}: {value!r}"
        raise NotImplementedError(msg)

    def snapshot(self, agent: Any) -> object:
        """What of an agent must not change, as something that can be compared."""
        held = cast("dict[str, object]", vars(agent))
        return jsonable(held)

    def output(self, output: object) -> object:
        """An output as something that can be compared."""
        return jsonable(output)

    # the rules

    def test_names_are_stable_and_unique(self) -> None:
        """Equal agents have the same paths, each once, of the form ``owner/child:slot``."""
        rule = "names are stable and unique"
        slots = [slot.path for slot in self._module(rule).slots()]
        self._require(rule, slots, "slots() of an agent with parameters is empty")
        self._require(
            rule, len(set(slots)) == len(slots), f"slots() repeats a path: {sorted(slots)}"
        )
        paths = list(self._module(rule).state_dict())
        self._require(
            rule, paths == list(self._module(rule).state_dict()), "equal agents, other paths"
        )
        odd = [path for path in paths if path.count(":") != 1]
        self._require(rule, not odd, f"not of the form owner/child:slot: {odd}")

    def test_state_round_trips(self) -> None:
        """A state is JSON, and loading it changes nothing."""
        rule = "state round-trips"
        module = self._module(rule)
        state = module.state_dict()
        try:
            again = json.loads(json.dumps(state))
        except TypeError as error:
            msg = f"{rule}: state_dict() is not JSON: {error}"
            raise RuleBrokenError(msg) from error
        self._require(rule, again == state, "state_dict() changes when it goes through JSON")
        module.load_state_dict(again)
        self._require(rule, module.state_dict() == state, "load_state_dict(state_dict()) changes")

    def test_using_restores(self) -> None:
        """``using`` ends with its block, also by an exception, and is local to the context."""
        rule = "using restores"
        module = self._module(rule)
        before = module.state_dict()
        states = self._candidates(module)
        inside, other = before, before
        try:
            with module.using(states[0]):
                inside = module.state_dict()
                other = contextvars.Context().run(module.state_dict)
                raise KeyError
        except KeyError:
            pass
        self._require(rule, inside == {**before, **states[0]}, "the values do not hold inside")
        self._require(rule, other == before, "the values hold in other contexts too")
        self._require(rule, module.state_dict() == before, "an exception leaves values behind")

    def test_candidates_do_not_meet(self) -> None:
        """Candidates that run at once on one agent, in threads and tasks, see their own values."""
        rule = "candidates do not meet"
        module = self._module(rule)
        example = self.examples()[0]
        states = self._candidates(module)
        with self._seams():
            alone = [self._run(module, example, state)[0] for state in states]
            self._require(
                rule, self._differ(alone), "the candidates' outputs are equal, nothing is shown"
            )
            order = [*range(len(states))] * _ROUNDS
            with ThreadPoolExecutor(len(states)) as pool:
                jobs = [pool.submit(self._run, module, example, states[i]) for i in order]
                threads = [job.result()[0] for job in jobs]
            tasks = asyncio.run(self._gathered(module, example, [states[i] for i in order]))
        for kind, found in (("threads", threads), ("tasks", tasks)):
            wrong = sum(
                self.output(a) != self.output(alone[i]) for i, a in zip(order, found, strict=True)
            )
            self._require(
                rule, not wrong, f"{wrong} of {len(order)} runs in {kind} saw others' values"
            )

    def test_graph_reaches_used_parameters(self) -> None:
        """The graph of a run leads from its output to every parameter that was used."""
        rule = "the graph reaches used parameters"
        module = self._module(rule)
        with self._seams():
            _, node, _ = self._run(module, self.examples()[0], {})
        found = {p.name for p in subgraph({node: Feedback()}).parameters}
        lost = [path for path in module.default_paths() if path not in found]
        self._require(rule, not lost, f"no way from the output to {lost}")

    def test_changes_reach_the_run(self) -> None:
        """Changing any trained parameter changes the next run, and only inside ``using``."""
        rule = "changes reach the run"
        module = self._module(rule)
        example = self.examples()[0]
        with self._seams():
            before = self.output(self._run(module, example, {})[0])
            for path in module.default_paths():
                state = {path: self.changed(path, module.state_dict()[path], 1)}
                after = self.output(self._run(module, example, state)[0])
                self._require(rule, after != before, f"another value of {path} changes nothing")
            again = self.output(self._run(module, example, {})[0])
        self._require(rule, again == before, "a candidate still has an effect after its run")

    def test_strangers_are_declined(self) -> None:
        """``wrap`` gives None for what belongs to nobody."""
        rule = "strangers are declined"
        manager = load((), [self.plugin])
        strangers: list[object] = [
            object(),
            3,
            "text",
            dict,
            len,
            types.SimpleNamespace(prompt="p"),
        ]
        for stranger in strangers:
            try:
                wrapped = manager.hook.wrap(agent=stranger)
            except Exception as error:
                msg = f"{rule}: wrap({stranger!r}) raises {error!r} instead of returning None"
                raise RuleBrokenError(msg) from error
            self._require(rule, wrapped is None, f"wrap({stranger!r}) is not None")

    def test_nothing_stays_patched(self) -> None:
        """Seams are counted, and gone with the last exit, also after an exception."""
        rule = "nothing stays patched"
        with self._seams():  # lazy imports happen now, not between the snapshots
            self._run(self._module(rule), self.examples()[0], {})
        before = self._classes()
        try:
            with self._seams(), self._seams():
                self._run(self._module(rule), self.examples()[0], {})
                raise KeyError
        except KeyError:
            pass
        after = self._classes()
        left = [name for name, attributes in before.items() if after.get(name) != attributes]
        self._require(rule, not left, f"changed and not restored: {left}")

    def test_agent_behaves_the_same_outside(self) -> None:
        """Outside a run of ours the agent answers as ever, seams or no seams."""
        rule = "the agent behaves the same outside"
        agent, example = self.make_agent(), self.examples()[0]
        before = self.output(self.call(agent, example))
        module = self._module(rule, agent)
        with self._seams():
            self._run(module, example, self._candidates(module)[0])
            between = self.output(self.call(agent, example))
        self._require(rule, between == before, "it answers differently while seams are installed")
        self._require(
            rule, self.output(self.call(agent, example)) == before, "it answers differently after"
        )

    def test_instance_is_unchanged(self) -> None:
        """Runs, also failing and concurrent ones, leave the user's object as it was."""
        rule = "the user's instance is unchanged"
        agent = self.make_agent()
        module = self._module(rule, agent)
        before = self.snapshot(agent)
        states = self._candidates(module)
        with self._seams():
            with ThreadPoolExecutor(len(states)) as pool:
                jobs = [pool.submit(self._run, module, self.examples()[0], s) for s in states]
                for job in jobs:
                    job.result()
            self._refused(module, self.examples()[0])
        self._require(rule, self.snapshot(agent) == before, "a run has written to it")

    def test_export_apply_restore(self) -> None:
        """``export`` and ``apply`` give what ``using`` tried; only ``apply`` writes."""
        rule = "export, apply and restore"
        agent, example = self.make_agent(), self.examples()[0]
        module = self._module(rule, agent)
        original, state = (
            module.state_dict(),
            {**module.state_dict(), **self._candidates(module)[0]},
        )
        with self._seams():
            tried = self.output(self._run(module, example, state)[0])
        untouched = self.snapshot(agent)
        exported = module.export(state)
        self._require(rule, self.snapshot(agent) == untouched, "export writes the original")
        answers = {"export": self.output(self.call(exported, example))}
        module.apply(state)
        answers["apply"] = self.output(self.call(agent, example))
        for verb, answer in answers.items():
            self._require(rule, answer == tried, f"{verb} answers {answer}, tried was {tried}")
        self._module(rule, agent).apply(original)
        present = self._module(rule, agent).state_dict()
        self._require(rule, present == original, "applying the original does not restore it")

    def test_model_calls_pass_the_gate(self) -> None:
        """Every model call is announced before it is made, and not made if it is refused."""
        rule = "model calls pass the gate"
        module, example = self._module(rule), self.examples()[0]
        with self._seams():
            _, _, meter = self._run(module, example, {})
            self._require(rule, meter.calls, "a run of the agent announced no model call")
            refusing, error = self._refused(module, example)
        self._require(rule, refusing.asked == 1, "after a refusal it goes on asking")
        self._require(
            rule, isinstance(error, BudgetExhaustedError), f"a refused run ends with {error!r}"
        )

    # how they are checked

    def _module(self, rule: str, agent: Any = None) -> AgentModule[Any]:
        wrapped = load((), [self.plugin]).hook.wrap(
            agent=self.make_agent() if agent is None else agent
        )
        self._require(rule, isinstance(wrapped, AgentModule), f"wrap gives {wrapped!r}")
        return cast("AgentModule[Any]", wrapped)

    @contextmanager
    def _seams(self) -> Generator[None]:
        with instrumented(load((), [self.plugin])):
            yield

    def _candidates(self, module: AgentModule[Any]) -> list[dict[str, object]]:
        """Eight candidates that differ in every trained parameter."""
        state = module.state_dict()
        return [
            {path: self.changed(path, state[path], number) for path in module.default_paths()}
            for number in range(8)
        ]

    def _differ(self, outputs: Sequence[object]) -> bool:
        return len({json.dumps(self.output(o), sort_keys=True) for o in outputs}) == len(outputs)

    def _run(
        self,
        module: AgentModule[Any],
        example: Any,
        state: Mapping[str, object],
        limit: int = 10**6,
    ) -> tuple[object, Node, _Meter]:
        """One run as the engine makes it: output, node, and what the gate saw."""
        return contextvars.copy_context().run(
            lambda: asyncio.run(self._arun(module, example, state, limit))
        )

    async def _arun(
        self,
        module: AgentModule[Any],
        example: Any,
        state: Mapping[str, object],
        limit: int = 10**6,
    ) -> tuple[object, Node, _Meter]:
        meter, recorder = _Meter(limit), Recorder(module.inputs(example))
        token = gate.set(meter)
        try:
            with module.using(state), recorder.recording() as root:
                output = module.run(example)
                if inspect.isawaitable(output):
                    output = await cast("Awaitable[object]", output)
                root.returns(output, module.fields(output))
        finally:
            gate.reset(token)
        return output, link(recorder), meter

    async def _gathered(
        self, module: AgentModule[Any], example: Any, states: Sequence[Mapping[str, object]]
    ) -> list[object]:
        found = await asyncio.gather(*(self._arun(module, example, state) for state in states))
        return [output for output, _, _ in found]

    def _refused(self, module: AgentModule[Any], example: Any) -> tuple[_Meter, Exception | None]:
        """A run in which the first model call is refused."""
        meter, recorder = _Meter(0), Recorder(module.inputs(example))
        token = gate.set(meter)
        try:
            with recorder.recording():
                output = module.run(example)
                if inspect.isawaitable(output):
                    asyncio.run(_awaited(cast("Awaitable[object]", output)))
        except Exception as error:  # noqa: BLE001 (whatever it ends with is looked at)
            return meter, error
        finally:
            gate.reset(token)
        return meter, None

    def _classes(self) -> dict[str, dict[str, object]]:
        """All classes of the framework with their attributes."""
        found: dict[str, dict[str, object]] = {}
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in self.framework_modules:
                for key, value in list(vars(module).items()):
                    if isinstance(value, type) and value.__module__ == name:
                        found[f"{name}.{key}"] = _own(value)
        return found

    def _require(self, rule: str, condition: object, why: str) -> None:
        if not condition:
            msg = f"{rule}: {why}"
            raise RuleBrokenError(msg)


class _Meter:
    """A gate with a limit, which counts."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked = 0
        self.calls = 0

    def admit(self, call: ModelCall) -> object:
        self.asked += 1
        if self.asked > self.limit:
            msg = f"no call of {call.model} is allowed"
            raise BudgetExhaustedError(msg)
        return None

    def settle(self, call: ModelCall, admitted: object) -> None:
        self.calls += (call.usage + Usage()).calls


async def _awaited(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _own(kind: type) -> dict[str, object]:
    """A class's own attributes, less what Python itself keeps there."""
    hidden = ("__dict__", "__weakref__", "__doc__", "__annotations__")
    return {
        name: value
        for name, value in vars(kind).items()
        if name not in hidden and not name.startswith("_abc")
    }
