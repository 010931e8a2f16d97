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
