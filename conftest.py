"""What every test of the core and of the plugins gets (see also pytest's part of pyproject.toml).

It lies at the root because `plugins/*/tests` need it as much as `tests` do.
"""

import asyncio
import atexit
import importlib.metadata
import inspect
import os
import shutil
import tempfile

import hypothesis
import pytest

from trace_bridge import Recorder, link

# Frameworks read these when they are imported, so they are set before any test module is.
_CACHE = tempfile.mkdtemp(prefix="trace_bridge-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["DSPY_CACHEDIR"] = _CACHE
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or litellm downloads its price list

# A developer's own settings must not decide what a test does, nor pay for it.
os.environ.pop("TRACE_BRIDGE_MODEL", None)
for _name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[_name]

# Each of pytest-xdist's processes may serve the embedded model: together they must not take more
# cores than there are.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["TRACE_BRIDGE_THREADS"] = "1"

# Shared machines stall now and then: no deadlines; pytest-timeout catches what really hangs. The
# same examples in each run: who changes a line should not have to explain a failure of another.
# `make check-all` looks for new ones.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None, max_examples=500)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def gepa():
    """What needs the package is skipped where DSPy pins an older one than our GEPA takes."""
    found = importlib.metadata.version("gepa")
    if tuple(map(int, found.split(".")[:2])) < (0, 1):
        pytest.skip(f"gepa {found} is too old")


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path, monkeypatch):
    """Journals are written below the working directory: each test gets its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(seams):
    """Run a module on one example: (output, node, recorder); an exception is not raised.

    For the plugins' tests: ``seams`` are those of the plugin.
    """

    def run_one(module, example, state=None, repeat=0):
        recorder = Recorder(module.inputs(example), repeat)
        output = None
        try:
            with module.using(state or {}), recorder.recording() as root:
                output = module.run(example)
                if inspect.isawaitable(output):
                    output = asyncio.run(_wait(output))
                root.returns(output, module.fields(output))
        except Exception as error:  # noqa: BLE001
            output = error
        return output, link(recorder), recorder

    return run_one


async def _wait(awaitable):
    return await awaitable
