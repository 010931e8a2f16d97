"""`import trace_bridge` costs nothing: no framework, no heavy library, no network, no file."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "autogen_agentchat",
    "autogen_core",
    "click",
    "dspy",
    "jinja2",
    "langchain_core",
    "litellm",
    "numpy",
    "pydantic",
    "rich",
    "sqlite3",
}

# A fresh interpreter, since this one has loaded most of these for pytest. It sees every attempt
# at a socket through an audit hook, which no way of importing the socket module gets around.
SCRIPT = """
import json, sys
sockets = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and sockets.append(event))
exec(sys.argv[1])
print(json.dumps({"modules": sorted(sys.modules), "sockets": sockets}))
"""


# asyncio is half of what the graph, the recorder and an optimizer would import
@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("import trace_bridge", HEAVY),
        ("from trace_bridge import OptoPrime, Recorder, bundle, node", HEAVY | {"asyncio"}),
    ],
)
def test_importing_loads_nothing_heavy_and_touches_nothing(tmp_path, line, heavy):
    (tmp_path / "a file").touch()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    assert not heavy & set(seen["modules"])
    assert not seen["sockets"]
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]
