"""The conformance suite for framework plugins: what ``optimize`` relies on, one test per rule.

A plugin's tests subclass ``PluginConformance`` and say how to make an agent; pytest (which this
module does not need) then runs every rule. Each failure starts with the rule's name.
"""

from __future__ import annotations

import contextvars
import json
import re
import types
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, cast

from trace_bridge.graph import Feedback, Node, canonical, jsonable, subgraph
from trace_bridge.llm.base import BudgetExhaustedError
from trace_bridge.plugins import instrumented, load
from trace_bridge.recording import Recorder
from trace_bridge.recording.agent import AgentModule
from trace_bridge.testing.harness import (
    Ran,
    RuleBrokenError,
    Runner,
    State,
    code_of,
    deep,
    entering,
    patched,
    raises,
    require,
    rule,
    waited,
)

_ROUNDS = 4  # how often each candidate runs in the tests of concurrency
_PATH = re.compile(r"[^:/]+(/[^:/]+)*:[^:/]+")
_NOWHERE = "no such owner:slot"


class PluginConformance:
    """The rules. Subclasses define ``plugin``, ``make_agent``, ``examples`` and ``call``."""

    plugin: object
    """The plugin: a module or object with hook implementations."""

    framework_modules: Sequence[str] = ()
    """Top-level packages that must not stay patched, besides the classes of the agent's objects."""

    asks_again: int = 0
    """How often the framework itself asks again after a refusal, for which nothing is paid."""

    def make_agent(self) -> Any:
        """A new agent; equal each time, with a fake model whose answer depends on its prompt.

        Every parameter that is trained by default must influence the output of each example.
        """
        raise NotImplementedError

    def examples(self) -> Sequence[Any]:
        """At least two examples, in the framework's form."""
        raise NotImplementedError

    def call(self, agent: Any, example: Any) -> object:
        """Call the agent as a user does, without trace_bridge; may be a coroutine."""
        raise NotImplementedError

    def model_calls(self, agent: Any) -> int | None:
        """How often the fake model was called, to see calls paid before they are announced."""
        return None

    def changed(self, path: str, value: object, number: int) -> object:
        """Another value for a parameter, a different one for each ``number``."""
        if isinstance(value, str):
            return f"{value} Variant {number}."
        msg = f"define changed() for values such as that of {path}: {value!r}"
        raise NotImplementedError(msg)

    def used(self, module: AgentModule[Any], example: Any) -> Sequence[str]:
        """The parameters that influence the output of an example."""
        return module.default_paths()

    def snapshot(self, agent: Any) -> object:
        """What of an agent must not change, as something that can be compared.

        Override it if the fake model, or what else copies share, keeps a log of its own.
        """
        return deep(agent)

    def output(self, output: object) -> object:
        """An output as something that can be compared."""
        return jsonable(output)

    # the rules

    @rule("names are stable and unique")
    def test_names_are_stable_and_unique(self) -> None:
        """Equal agents have the same paths, each once, of the form ``owner/child:slot``."""
        module = self._module()
        slots = [slot.path for slot in module.slots()]
        require(slots, "slots() of an agent with parameters is empty")
        require(len(set(slots)) == len(slots), f"slots() repeats a path: {sorted(slots)}")
        again = [slot.path for slot in self._module().slots()]
        why = f"equal agents have {slots} and {again}. Make paths of names in the agent (join_path)"
        require(slots == again, why)
        require(list(module.state_dict()) == slots, "state_dict() has other paths")
        odd = [path for path in slots if not _PATH.fullmatch(path)]
        require(not odd, f"not of the form owner/child:slot: {odd}. Use join_path")

    @rule("state round-trips")
    def test_state_round_trips(self) -> None:
        """A state is JSON, and loading it changes nothing."""
        module = self._module()
        state = module.state_dict()
        try:
            again = json.loads(json.dumps(state))
        except TypeError as error:
            msg = f"state_dict() is not JSON: {error}. Let Slot.decode give JSON values"
            raise RuleBrokenError(msg) from error
        require(again == state, "state_dict() changes when it goes through JSON")
        module.load_state_dict(again)
        require(module.state_dict() == state, "load_state_dict(state_dict()) changes it")

    @rule("results are keyed")
    def test_results_are_keyed(self) -> None:
        """Equal agents have equal fingerprints, and examples their own keys: a run can resume."""
        one, other = self._module(), self._module()
        before = canonical(one.fingerprint())
        why = "equal agents have other fingerprint()s. Leave out ids, addresses and times"
        require(canonical(other.fingerprint()) == before, why)
        with self._seams():
            Runner(one, self.examples()[0]).run({})
        require(canonical(one.fingerprint()) == before, "a run changes fingerprint()")
        keys = [canonical(one.encode(example)) for example in self.examples()]
        why = "encode() gives different examples one key. Put all of the example into it"
        require(len(set(keys)) == len(keys), why)
        again = [canonical(one.encode(example)) for example in self.examples()]
        require(keys == again, "encode() gives an example another key each time")

    @rule("using restores")
    def test_using_restores(self) -> None:
        """``using`` ends with its block, also by an exception; it nests, and is the context's."""
        module = self._module()
        before = module.state_dict()
        one, two = self._candidates(module)[:2]
        path = next(iter(two))
        seen: list[State] = []
        try:
            with module.using(one):
                with module.using({path: two[path]}):
                    seen.append(module.state_dict())
                seen += [module.state_dict(), contextvars.Context().run(module.state_dict)]
                raise KeyError
        except KeyError:
            pass
        inside = {**before, **one}
        require(seen[1] == inside, "the values do not hold in the block")
        why = "a block in the block does not add to it. Use Module.using as it is"
        require(seen[0] == {**inside, path: two[path]}, why)
        require(seen[2] == before, "the values hold in other contexts too")
        require(module.state_dict() == before, "an exception leaves values behind")

    @rule("unknown paths are refused")
    def test_unknown_paths_are_refused(self) -> None:
        """Each verb raises LookupError for a path that there is not, before it writes anything."""
        agent = self.make_agent()
        module = self._module(agent)
        original, untouched = module.state_dict(), self.snapshot(agent)
        state = {**self._candidates(module)[0], _NOWHERE: "value"}
        for verb in (entering(module), module.load_state_dict, module.apply, module.export):
            name = verb.__name__
            why = f"{name}() takes {_NOWHERE!r}. Call self.resolve(state) before all else"
            require(raises(LookupError, verb, state), why)
            whole = module.state_dict() == original and self.snapshot(agent) == untouched
            require(whole, f"{name}() writes before it refuses")

    @rule("candidates do not meet")
    def test_candidates_do_not_meet(self) -> None:
        """Candidates that run at once on one agent, in threads and tasks, see their own values."""
        module = self._module()
        states = self._candidates(module)
        runner = Runner(module, self.examples()[0])
        order = [*range(len(states))] * _ROUNDS
        with self._seams():
            alone = [self._shown(runner.run(state)) for state in states]
            distinct = len(set(map(canonical, alone))) == len(alone)
            why = "the candidates' outputs are equal: values have no effect, or changed() repeats"
            require(distinct, why)
            together = {
                "threads": runner.in_threads([states[i] for i in order]),
                "tasks": runner.in_tasks([states[i] for i in order]),
            }
        for kind, runs in together.items():
            wrong = sum(self._shown(ran) != alone[i] for i, ran in zip(order, runs, strict=True))
            why = f"{wrong} of {len(order)} runs in {kind} saw others' values. Run light copies"
            require(not wrong, why)

    @rule("the graph reaches used parameters")
    def test_graph_reaches_used_parameters(self) -> None:
        """The graph of a run leads from its output to every parameter that was used."""
        module = self._module()
        with self._seams():
            for example in self.examples():
                node = Runner(module, example).run({}).node
                self._check_reached(module, node, example)

    @rule("changes reach the run")
    def test_changes_reach_the_run(self) -> None:
        """Changing any used parameter changes the next run, and only inside ``using``."""
        module = self._module()
        example = self.examples()[0]
        runner = Runner(module, example)
        with self._seams():
            before = self._shown(runner.run({}))
            for path in self.used(module, example):
                state = {path: self.changed(path, module.state_dict()[path], 1)}
                after = self._shown(runner.run(state))
                require(after != before, f"another value of {path} changes no output")
            again = self._shown(runner.run({}))
        require(again == before, "a candidate still has an effect after its run")

    @rule("own calls are recorded")
    def test_own_calls_are_recorded(self) -> None:
        """Inside ``attached()``, the user's own call reads the values and is recorded with them."""
        agent, example = self.make_agent(), self.examples()[0]
        module = self._module(agent)
        if cast("Any", type(module)).attached is cast("Any", AgentModule).attached:
            return  # such a plugin does without trace_bridge.record
        from trace_bridge.api.recording import Recording

        before = self._answer(agent, example)
        state, recorder, recording = self._candidates(module)[0], Recorder(), Recording(module)
        with self._seams():
            tried = self._shown(Runner(module, example).run(state))
            with module.attached(), module.using(state), recorder.recording():
                answer = self._answer(agent, example)
            after = self._answer(agent, example)
        recording.finish(recorder)
        require(answer == tried, f"it answers {answer}, a run with those values {tried}")
        self._check_reached(module, recording.output, example)
        require(after == before, "the values hold after attached() has ended")

    @rule("strangers are declined")
    def test_strangers_are_declined(self) -> None:
        """``wrap`` gives None for what belongs to nobody, and for the agent's class."""
        manager = load((), [self.plugin])
        strangers: list[object] = [
            object(), 3, "text", dict, len, lambda: None, types.SimpleNamespace(prompt="p"),
            type(self.make_agent()),
        ]  # fmt: skip
        for stranger in strangers:
            try:
                wrapped = manager.hook.wrap(agent=stranger)
            except Exception as error:
                msg = f"wrap({stranger!r}) raises {error!r}. Return None"
                raise RuleBrokenError(msg) from error
            require(wrapped is None, f"wrap({stranger!r}) is not None. Use isinstance")

    @rule("nothing stays patched")
    def test_nothing_stays_patched(self) -> None:
        """Seams are counted, and gone with the last exit, also after an exception."""
        agent = self.make_agent()
        runner = Runner(self._module(agent), self.examples()[0])
        with self._seams():  # lazy imports happen now, not between the snapshots
            expected = runner.run({}).meter.asked
        before = code_of(agent, self.framework_modules)
        first, second = ExitStack(), ExitStack()  # two runs that overlap
        first.enter_context(self._seams())
        second.enter_context(self._seams())
        first.close()
        announced = runner.run({}).meter.asked
        second.close()
        why = f"{announced} calls announced instead of {expected} when another run has left"
        require(announced == expected, f"{why}. Count users, restore at the last")
        left = patched(before, code_of(agent, self.framework_modules))
        require(not left, f"not as before, after two runs that overlapped: {left}")
        try:
            with self._seams():
                raise KeyError
        except KeyError:
            pass
        left = patched(before, code_of(agent, self.framework_modules))
        require(not left, f"not as before, after an exception: {left}. Restore in finally")

    @rule("the agent behaves the same outside")
    def test_agent_behaves_the_same_outside(self) -> None:
        """Outside a run of ours the agent answers as ever, seams or no seams."""
        agent, example = self.make_agent(), self.examples()[0]
        before = self._answer(agent, example)
        module = self._module(agent)
        with self._seams():
            Runner(module, example).run(self._candidates(module)[0])
            between = self._answer(agent, example)
        why = "it answers differently while seams are installed. Look at current_call() first"
        require(between == before, why)
        require(self._answer(agent, example) == before, "it answers differently after")

    @rule("the user's instance is unchanged")
    def test_instance_is_unchanged(self) -> None:
        """Runs, also failing and concurrent ones, leave the user's object as it was."""
        agent, example = self.make_agent(), self.examples()[0]
        self._answer(agent, example)  # what an agent keeps of its first call is its own business
        module = self._module(agent)
        runner = Runner(module, example)
        before = self.snapshot(agent)
        with self._seams():
            runner.in_threads(self._candidates(module))
            concurrent = self.snapshot(agent)
            for limit in (0, 1):
                runner.attempt(self._candidates(module)[0], limit)
        why = "a run has written to it. Run a copy, or leave the model's log out of snapshot()"
        require(concurrent == before, why)
        require(self.snapshot(agent) == before, "a run that failed has written to it")

    @rule("export, apply and restore")
    def test_export_apply_restore(self) -> None:
        """``export`` and ``apply`` give what ``using`` tried, also for a part; ``apply`` writes."""
        agent, example = self.make_agent(), self.examples()[0]
        module = self._module(agent)
        original, candidate = module.state_dict(), self._candidates(module)[0]
        path = next(iter(candidate))
        for state in ({**original, **candidate}, {path: candidate[path]}):
            with self._seams():
                tried = self._shown(Runner(module, example).run(state))
            untouched = self.snapshot(agent)
            exported = module.export(state)
            require(self.snapshot(agent) == untouched, "export writes the original")
            answers = {"export": self._answer(exported, example)}
            module.apply(state)
            answers["apply"] = self._answer(agent, example)
            for verb, answer in answers.items():
                why = f"{verb} of {sorted(state)} answers {answer}, tried was {tried}"
                require(answer == tried, why)
            self._check_state([module, self._module(agent)], {**original, **state})
            module.apply(original)
            self._check_state([module, self._module(agent)], original)
        refused = raises(ValueError, module.export, original, "no such format")
        require(refused, "export takes any format. Raise ValueError, naming those that there are")

    @rule("model calls pass the gate")
    def test_model_calls_pass_the_gate(self) -> None:
        """Every model call is announced once before it is made, and not made if it is refused."""
        agent = self.make_agent()
        runner = Runner(self._module(agent), self.examples()[0])
        with self._seams():
            before = self.model_calls(agent)
            announced = runner.run({}).meter.admitted
            require(announced, "a run announced no model call. Use model_call() in a seam")
            self._check_paid(agent, before, announced)
            for limit in range(announced):
                before = self.model_calls(agent)
                ran = runner.attempt({}, limit)
                self._check_paid(agent, before, limit)
                why = f"after a refusal it ends with {ran.error!r}. Let BudgetExhaustedError pass"
                require(isinstance(ran.error, BudgetExhaustedError), why)
                goes_on = ran.meter.asked > limit + 1 + self.asks_again
                require(not goes_on, "after a refusal it goes on asking")

    # how they are checked

    def _module(self, agent: Any = None) -> AgentModule[Any]:
        agent = self.make_agent() if agent is None else agent
        wrapped = load((), [self.plugin]).hook.wrap(agent=agent)
        require(isinstance(wrapped, AgentModule), f"wrap gives {wrapped!r}, no AgentModule")
        return cast("AgentModule[Any]", wrapped)

    def _seams(self) -> AbstractContextManager[None]:
        return instrumented(load((), [self.plugin]))

    def _candidates(self, module: AgentModule[Any]) -> list[dict[str, object]]:
        """Eight candidates that differ in every trained parameter."""
        state, paths = module.state_dict(), module.default_paths()
        return [{path: self.changed(path, state[path], n) for path in paths} for n in range(8)]

    def _answer(self, agent: Any, example: Any) -> object:
        return self.output(waited(self.call(agent, example)))

    def _shown(self, ran: Ran) -> object:
        return self.output(ran.output)

    def _check_reached(self, module: AgentModule[Any], node: Node, example: Any) -> None:
        own = dict(module.named_parameters())
        reached = set(subgraph({node: Feedback()}).parameters)
        lost = [path for path in self.used(module, example) if own[path] not in reached]
        why = f"no way from the output to {lost}. Report what components read, take and return"
        require(not lost, why)

    def _check_state(self, modules: Sequence[AgentModule[Any]], state: State) -> None:
        for module, which in zip(modules, ("the module", "the agent wrapped anew"), strict=True):
            present = module.state_dict()
            wrong = [path for path in state if present.get(path) != state[path]]
            require(not wrong, f"after apply, {which} has other values of {wrong}")

    def _check_paid(self, agent: Any, before: int | None, allowed: int) -> None:
        after = self.model_calls(agent)
        if before is not None and after is not None:
            why = f"{after - before} calls were made, and {allowed} announced and allowed"
            require(after - before == allowed, why)
