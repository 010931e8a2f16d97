"""What each test of the plugin gets."""

import sys
from pathlib import Path

import dspy
import pytest
import trace_bridge_dspy

# pytest's importlib mode puts no folder of tests on the path; this one has a helper module
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _settings():
    """Each test has DSPy's settings for itself."""
    with dspy.context(lm=None, adapter=None, trace=[]):
        yield


@pytest.fixture
def seams():
    with trace_bridge_dspy.instrument():
        yield


@pytest.fixture
def run(run):
    """As everywhere, on a dict too: all of it is input."""

    def run_one(module, example, *args, **kwargs):
        if not isinstance(example, dspy.Example):
            example = dspy.Example(**example).with_inputs(*example)
        return run(module, example, *args, **kwargs)

    return run_one
