"""Plugins are found, checked and named when they do not fit."""

import contextlib
from importlib.metadata import EntryPoint

import pytest

import trace_bridge as tb
from trace_bridge.plugins import PluginError, installed, instrumented, load, with_plugins, wrap


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
