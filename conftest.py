"""What every test of the core and of the plugins gets (see also pytest's part of pyproject.toml).

It lies at the root because `plugins/*/tests` need it as much as `tests` do.
"""

import asyncio
import atexit
import contextlib
import importlib.metadata
import inspect
import json
import os
import shutil
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


class Provider:
    """A server on loopback that speaks OpenAI's chat protocol.

    Attributes:
        answer: from the request's body to the text that is answered; by default the last turn in
            capitals.
        script: what to do with the next requests, one item each; afterwards all are answered. An
            item has some of ``status``, ``headers``, ``error`` (the JSON below ``error``), ``raw``
            (the whole body), ``finish_reason`` and ``seconds`` (to wait before answering).
        requests: the key (as the header says it) and the body of each request.
        url: what clients call the base URL.
    """

    def __init__(self, server):
        self.answer = lambda body: body["messages"][-1]["content"].upper()
        self.script = []
        self.requests = []
        self.usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        self.closing = threading.Event()

    def fail(self, status, message="told to fail", code=None, **item):
        """Refuse the next request."""
        error = {"message": message, "type": "some_error", "param": None, "code": code}
        self.script.append({"status": status, "error": error, **item})

    def reply(self, body, item):
        """The body of the answer to a request."""
        if "raw" in item:
            return item["raw"]
        if "error" in item:
            return json.dumps({"error": item["error"]})
        message = {"role": "assistant", "content": self.answer(body)}
        choice = {"index": 0, "finish_reason": item.get("finish_reason", "stop")}
        return json.dumps(
            {
                "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{**choice, "message": message}], "usage": self.usage,
            }
        )  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        provider = self.server.provider
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        provider.requests.append((self.headers["Authorization"], body))
        item = provider.script.pop(0) if provider.script else {}
        if provider.closing.wait(item.get("seconds", 0)):
            return
        text = provider.reply(body, item).encode()
        with contextlib.suppress(ConnectionError):  # who would not wait has gone
            self.send_response(item.get("status", 200))
            headers = {"Content-Type": "application/json", **item.get("headers", {})}
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *_):
        """Quietly."""


@pytest.fixture
def provider():
    """A provider on loopback, for this test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.provider = Provider(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.provider
    server.provider.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()
