import inspect

import click
import pytest
from click.testing import CliRunner

import trace_bridge
from trace_bridge import cli
from trace_bridge.llm import weights


@pytest.fixture
def run():
    # before 8.2, click mixes both streams unless it is told not to
    mixes = "mix_stderr" in inspect.signature(CliRunner).parameters
    runner = CliRunner(mix_stderr=False) if mixes else CliRunner()
    return lambda *arguments: runner.invoke(cli.main, arguments)


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert trace_bridge.__version__ in result.output


def test_model_path(run, tmp_path, monkeypatch):
    mine = tmp_path / "mine.gguf"
    mine.touch()
    monkeypatch.setenv("TRACE_BRIDGE_GGUF", str(mine))
    result = run("model", "path")
    assert (result.exit_code, result.output) == (0, f"{mine}\n")


def test_model_install_tells_where_the_file_is(run, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "install_weights", lambda: tmp_path / "x.gguf")
    result = run("model", "install")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'x.gguf'}\n")


def test_our_errors_take_one_line(run, monkeypatch):
    monkeypatch.setenv("TRACE_BRIDGE_GGUF", "nowhere.gguf")
    result = run("model", "path")
    assert result.exit_code == 1
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: TRACE_BRIDGE_GGUF names 'nowhere.gguf'")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (weights.WeightsNotInstalled("two\nlines"), "Error: two lines\n"),
        (click.UsageError("not so"), "Error: not so\n"),
    ],
)
def test_errors_that_are_shown(run, monkeypatch, error, shown):
    def fail():
        raise error

    monkeypatch.setattr(weights, "install_weights", fail)
    result = run("model", "install")
    assert result.exit_code == getattr(error, "exit_code", 1)
    assert result.stderr.endswith(shown)


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    monkeypatch.setattr(weights, "install_weights", lambda: 1 / 0)
    assert isinstance(run("model", "install").exception, ZeroDivisionError)


AGENT = """
import dspy
class Held:
    program = dspy.Predict("question -> answer")
held = Held()
"""


def test_doctor_shows_what_can_be_trained(run, tmp_path, monkeypatch):
    (tmp_path / "doctored_app.py").write_text(AGENT, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = run("doctor", "doctored_app:held.program")
    assert result.exit_code == 0, result.output
    assert "dspy Predict: 4 parameters, 2 trained by default (*)" in result.output
    assert "* self:instructions" in result.output


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("doctored_app", "write MODULE:NAME"),
        ("no_such_app:agent", "there is no module 'no_such_app' here"),
        ("json:no_such", "json has no 'no_such'"),
        ("json:loads.no_such", "json has no 'loads.no_such'"),
    ],
)
def test_doctor_says_what_it_did_not_find(run, target, said):
    result = run("doctor", target)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("math:pi", "math:pi: no plugin can wrap builtins.float"),
        ("fractions:Fraction", "Fraction is a class: pass the agent that you make with it"),
    ],
)
def test_doctor_of_something_that_is_no_agent(run, target, said):
    result = run("doctor", target)
    assert result.exit_code == 2
    assert said in result.stderr
