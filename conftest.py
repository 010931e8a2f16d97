"""What every test of the core and of the plugins gets (see also pytest's part of pyproject.toml).

It lies at the root because `plugins/*/tests` need it as much as `tests` do.
"""

import atexit
import os
import shutil
import tempfile

import hypothesis
import pytest

# Frameworks read these when they are imported, so they are set before any test module is.
_CACHE = tempfile.mkdtemp(prefix="trace_bridge-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["DSPY_CACHEDIR"] = _CACHE
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or litellm downloads its price list

# A developer's own settings must not decide what a test does, nor pay for it.
os.environ.pop("TRACE_BRIDGE_MODEL", None)
for _name in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[_name]

# Shared machines stall now and then; pytest-timeout catches what really hangs.
hypothesis.settings.register_profile("trace_bridge", deadline=None)
hypothesis.settings.load_profile("trace_bridge")


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path, monkeypatch):
    """Journals are written below the working directory: each test gets its own."""
    monkeypatch.chdir(tmp_path)
