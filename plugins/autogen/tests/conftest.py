"""What each test of the plugin gets."""

import asyncio
import inspect
import sys
from pathlib import Path

import pytest
import trace_bridge_autogen

from trace_bridge import Recorder, link

# pytest's importlib mode puts no folder of tests on the path; this one has a helper module
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def seams():
    with trace_bridge_autogen.instrument():
        yield


@pytest.fixture
def run(seams):
    """Run a module on one example: (output, node, recorder); an exception is not raised."""

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
