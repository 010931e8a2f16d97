"""What each test of the plugin gets."""

import sys
from pathlib import Path

import pytest
import trace_bridge_autogen

# pytest's importlib mode puts no folder of tests on the path; this one has a helper module
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def seams():
    with trace_bridge_autogen.instrument():
        yield
