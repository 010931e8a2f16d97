"""Plugins are found, checked and named when they do not fit."""

import contextlib
import sys
import types
from importlib.metadata import EntryPoint

import pytest

import trace_bridge as tb
from trace_bridge.api.wrapping import known_optimizers
from trace_bridge.plugins import (
    PluginError,
    installed,
    instrumented,
    load,
    offered_optimizers,
    with_plugins,
    wrap,
)


def test_installed_plugins_are_found_once():
    assert installed() is installed()
    assert "dspy" in [name for name, _ in installed().list_name_plugin()]


def test_a_plugin_that_cannot_be_imported_is_named_with_the_remedy():
    point = EntryPoint("odd", "no_such_module_anywhere", "trace_bridge")
    with pytest.raises(PluginError, match=r"'odd' \(no_such_module_anywhere\).*Upgrade or uninst"):
        load([point])


def test_a_misspelt_hook_is_named_beside_those_there_are():
    class Misspelt:
        @tb.hookimpl
        def wrapp(self, agent):
            return None

    with pytest.raises(PluginError, match=r"'Misspelt' does not fit.*wrapp.*hooks are: .*wrap"):
        load((), [Misspelt()])


def test_a_wrong_signature_is_named():
    class Wrong:
        @tb.hookimpl
        def wrap(self, program):
            return None

    with pytest.raises(PluginError, match=r"(?s)'Wrong' does not fit.*wrap.*program"):
        load((), [Wrong()])


def test_plugins_of_one_run_come_first_and_leave_the_installed_alone():
    class Mine:
        @tb.hookimpl
        def llm(self, client):
            return tb.CallableLLM(lambda _: "", "mine") if client == "mine" else None

    manager = with_plugins([Mine()])
    assert manager.hook.llm(client="mine").model == "mine"
    assert installed().hook.llm(client="mine") is None
    assert with_plugins([]) is installed()


def test_a_module_is_its_own_wrapping():
    class Module(tb.AgentModule):
        def slots(self):
            return ()

    module = Module("agent")
    assert wrap(module, installed()) is module
    assert wrap("agent", installed()) is None


def test_all_seams_are_entered_together_and_left_by_an_exception_too():
    events = []

    def plugin(name):
        class Seams:
            @tb.hookimpl
            def instrument(self):
                @contextlib.contextmanager
                def seams():
                    events.append(f"+{name}")
                    try:
                        yield
                    finally:
                        events.append(f"-{name}")

                return seams()

        return Seams()

    manager = load((), [plugin("a"), plugin("b")])
    with pytest.raises(KeyError), instrumented(manager):
        raise KeyError
    assert sorted(events[:2]) == ["+a", "+b"]
    assert sorted(events[2:]) == ["-a", "-b"]


def a_plugin(name, events, *, fails=False):
    """A plugin whose seams note when they are entered and left."""

    class Plugin:
        @tb.hookimpl
        def wrap(self, agent):
            return name

        @tb.hookimpl
        def instrument(self):
            return seams()

    @contextlib.contextmanager
    def seams():
        if fails:
            raise RuntimeError(f"no seams for {name}")
        events.append(f"+{name}")
        try:
            yield
        finally:
            events.append(f"-{name}")

    return Plugin()


def test_the_plugin_that_was_passed_last_wraps():
    manager = load((), [a_plugin("first", []), a_plugin("second", [])])
    assert manager.hook.wrap(agent="agent") == "second"


def test_seams_are_left_in_reverse_order():
    events = []
    with instrumented(load((), [a_plugin("a", events), a_plugin("b", events)])):
        assert sorted(events) == ["+a", "+b"]
    assert [event[1:] for event in events[2:]] == [event[1:] for event in reversed(events[:2])]


def test_when_one_cannot_be_installed_the_others_are_removed():
    events = []
    plugins = [a_plugin("a", events), a_plugin("b", events, fails=True), a_plugin("c", events)]
    with pytest.raises(RuntimeError, match="no seams for b"), instrumented(load((), plugins)):
        pytest.fail("entered")
    assert sorted(event[1:] for event in events if event[0] == "+") == sorted(
        event[1:] for event in events if event[0] == "-"
    )


def test_a_plugin_without_seams_is_left_out():
    class NoSeams:
        @tb.hookimpl
        def instrument(self):
            return None

    events = []
    with instrumented(load((), [NoSeams(), a_plugin("a", events)])):
        assert events == ["+a"]


def test_a_plugin_that_is_installed_may_be_passed_as_well():
    [(name, plugin), *_] = installed().list_name_plugin()
    manager = with_plugins([plugin, plugin])
    assert [n for n, p in manager.list_name_plugin() if p is plugin] == [name]


def test_a_plugin_that_forgot_the_marks_is_named():
    class Unmarked:
        def trial_finished(self, run, trial):
            pass

    with pytest.raises(PluginError, match=r"'Unmarked' implements no hook.*hookimpl.*trial_finis"):
        load((), [Unmarked()])


def test_a_class_in_place_of_a_plugin_is_named():
    with pytest.raises(PluginError, match=r"is a class: pass an instance, Plugin\(\)"):
        load((), [type(a_plugin("a", []))])


def test_two_plugins_of_one_name_are_named(tmp_path, monkeypatch):
    for module in ("one_plugin", "other_plugin"):
        source = "import trace_bridge\n\n@trace_bridge.hookimpl\ndef wrap(agent): ...\n"
        (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("mine", m, "trace_bridge") for m in ("one_plugin", "other_plugin")]
    with pytest.raises(PluginError, match=r"named 'mine': .*one_plugin.*other_plugin.*Uninstall"):
        load(points)


def test_a_wrapping_that_is_no_module_is_named():
    class Odd:
        @tb.hookimpl
        def wrap(self, agent):
            return {"agent": agent}

    with pytest.raises(PluginError, match="wrap returned dict for float"):
        wrap(3.0, load((), [Odd()]))


def offering(**optimizers):
    class Offers:
        @tb.hookimpl
        def optimizers(self):
            return optimizers

    return Offers()


def test_optimizers_of_all_plugins_are_found_by_name():
    class Nothing:
        @tb.hookimpl
        def optimizers(self):
            return None

    manager = load((), [offering(a=tb.OPRO), Nothing(), offering(b=tb.Bootstrap, c=tb.TextGrad)])
    found = offered_optimizers(manager)
    assert found == {"a": tb.OPRO, "b": tb.Bootstrap, "c": tb.TextGrad}


def test_an_optimizer_of_a_third_party_is_found_through_its_entry_point(monkeypatch):
    module = types.ModuleType("third_party")

    @tb.hookimpl
    def optimizers():
        return {"theirs": tb.Bootstrap}

    module.optimizers = optimizers
    monkeypatch.setitem(sys.modules, "third_party", module)
    manager = load([EntryPoint("third", "third_party", "trace_bridge")])
    known = known_optimizers(manager)
    assert known["theirs"] is tb.Bootstrap
    assert {"bootstrap", "gepa", "opro", "optoprime", "optuna", "textgrad"} < known.keys()


def test_two_optimizers_of_one_name_are_named():
    manager = load((), [offering(mine=tb.OPRO), offering(mine=tb.TextGrad)])
    with pytest.raises(PluginError, match=r"'mine'.*is the name of .*: give it another") as caught:
        offered_optimizers(manager)
    assert "OPRO" in str(caught.value)
    assert "TextGrad" in str(caught.value)
    with pytest.raises(PluginError, match=r"'opro', which is the name of one of ours"):
        offered_optimizers(load((), [offering(opro=tb.TextGrad)]), ["opro"])


def test_something_else_than_an_optimizer_is_named():
    with pytest.raises(PluginError, match=r"offers 'adam' as 'mine': it has to be a subclass"):
        offered_optimizers(load((), [offering(mine="adam")]))
