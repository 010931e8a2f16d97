"""The small model that needs no key and no network: llama.cpp, served on a loopback port.

It speaks OpenAI's protocol, so that DSPy, LangChain, AutoGen and LiteLLM reach it as they reach
any other provider.

llama.cpp runs in a process of its own, for three reasons: it aborts the process where Python would
raise; it waits for ever if it is told to stop while a request is being answered, which is what
Ctrl-C does; and its threads do not survive a fork.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from trace_bridge.llm.weights import find_weights

SLOTS = 2  # measured on two cores: four slots take half as long again as two for the same work
CONTEXT = 2048  # tokens per slot, prompt and answer together

THREADS_VARIABLE = "TRACE_BRIDGE_THREADS"
INSTALL = 'pip install "trace-bridge[local]"'

# The child looks for modules where we do, as `multiprocessing` arranges it too.
_CHILD = (
    "import json, sys; order = json.loads(sys.stdin.readline()); sys.path[:] = order['path']; "
    "from trace_bridge.llm.embedded import serve; serve(order)"
)


class EmbeddedUnavailable(RuntimeError):
    """The embedded model cannot be served."""


class EmbeddedServer:
    """A GGUF file served as an OpenAI-compatible API on a free loopback port, until ``close``.

    Most callers want the shared one that ``embedded`` returns. A prompt that leaves no room in
    ``context`` is refused with HTTP 400, a wrong key with 401. It takes two cores, or as many as
    the environment variable ``TRACE_BRIDGE_THREADS`` says: 1 where several processes serve one.

    Attributes:
        base_url: such as ``http://127.0.0.1:40123/v1``.
        api_key: made for this server; without it nobody on this machine can use it.
        model: the model's name, made from the file's: it is the same in every run.
        slots: how many requests are answered at once; more of them wait for their turn.

    Args:
        weights: the GGUF file; by default the one that ``find_weights`` finds.
        slots: at most 2 pay off on a CPU; 1 makes results independent of what runs beside.
        context: tokens per slot.

    Raises:
        WeightsNotFound: there is no GGUF file.
        EmbeddedUnavailable: xllamacpp is missing, or cannot load the file, or
            ``TRACE_BRIDGE_THREADS`` is no number of threads.
    """

    def __init__(
        self, weights: Path | None = None, *, slots: int = SLOTS, context: int = CONTEXT
    ) -> None:
        path = find_weights() if weights is None else weights
        if importlib.util.find_spec("xllamacpp") is None:
            raise EmbeddedUnavailable(f"the embedded model needs xllamacpp: {INSTALL}")
        self.model = path.stem.lower().replace(".", "-")
        self.slots = slots
        self.api_key = secrets.token_urlsafe(24)
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD],
            stdin=subprocess.PIPE,  # never closed while we live: its end tells the child to go
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            address = self._start(path, context)
        except BaseException:
            self.close()
            raise
        self.base_url = f"{address}/v1"
        atexit.register(self.close)

    @property
    def closed(self) -> bool:
        """Whether the server has stopped: by ``close``, or because it failed."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Stop the server and give its memory back; unanswered requests fail.

        In a forked child it does nothing: the server belongs to the parent and serves both.
        """
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.close)
        self._process.kill()  # it has nothing to save
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:  # without the key
        return f"EmbeddedServer({self.model!r}, {'closed' if self.closed else self.base_url})"

    def _start(self, path: Path, context: int) -> str:
        """Tell the child what to serve and wait for its answer: the address."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 (we asked for pipes)
        assert stdout is not None  # noqa: S101
        order = {
            "path": sys.path,
            "weights": str(path.absolute()),
            "model": self.model,
            "api_key": self.api_key,  # through the pipe: everybody can read a command line
            "slots": self.slots,
            "context": context * self.slots,  # llama.cpp divides it among the slots
            "threads": _threads(),
        }
        try:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:  # it ended before it could read
            line = ""
        if not line:
            raise EmbeddedUnavailable(
                f"llama.cpp ended with exit code {self._process.wait()} instead of serving {path}: "
                "there may be too little memory"
            )
        answer = cast("dict[str, str]", json.loads(line))
        if "address" not in answer:
            raise EmbeddedUnavailable(f"cannot serve {path}: {answer['error']}")
        return answer["address"]


_shared: EmbeddedServer | None = None
_shared_lock = threading.Lock()


def embedded() -> EmbeddedServer:
    """The embedded model's server that this process shares, started by the first call.

    All threads and runs get the same one. It takes about a second to start and 250 MB of memory,
    and stops when the process ends. After a ``close`` the next call starts another.

    Raises:
        WeightsNotFound: there is no GGUF file; ``trace-bridge model install`` fetches one.
        EmbeddedUnavailable: xllamacpp is missing, or cannot load the file.
    """
    global _shared  # noqa: PLW0603 (the process's one server)
    with _shared_lock:
        if _shared is None or _shared.closed:
            _shared = EmbeddedServer()
        return _shared


def is_embedded(model: str) -> bool:
    """Whether ``model``, as clients name it (``openai/NAME``), is the shared server's model."""
    return _shared is not None and model.rpartition("/")[2] == _shared.model


def serve(order: dict[str, Any]) -> None:
    """Serve until stdin ends. It is what the child process runs; it never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may go on
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever llama.cpp may print must not fill the pipe
    try:
        server = _load(order)
        answer = {"address": server.listening_address}
    except ImportError as error:
        answer = {"error": f"xllamacpp does not load ({error}): {INSTALL}"}
    except RuntimeError as error:
        answer = {"error": f"{error} If the file is damaged, fetch or make it anew."}
    report.write(json.dumps(answer) + "\n")
    report.close()
    sys.stdin.read()
    os._exit(0)  # no destructors: the server's waits for requests that nobody answers any more


def _load(order: dict[str, Any]) -> Any:
    import xllamacpp

    library: Any = xllamacpp  # compiled, without types
    settings = library.CommonParams()
    settings.model.path = order["weights"]
    settings.model_alias = {order["model"]}
    settings.verbosity = -1
    settings.n_parallel = order["slots"]
    settings.n_ctx = order["context"]
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = order["threads"]
    settings.port = 0  # any free one
    settings.api_keys = [order["api_key"]]
    # By default every web page that the user has open may talk to the server.
    settings.cors_origins = "http://127.0.0.1"
    settings.ui = False
    settings.endpoint_slots = False  # it shows the prompts of others
    # Memory: by default 8 GB may go to old prompts, and weights are copied into faster layouts.
    settings.cache_ram_mib = 0
    settings.no_extra_bufts = True
    settings.warmup = False  # the first request warms up as well
    return library.Server(settings)


def _threads() -> int:
    """What TRACE_BRIDGE_THREADS says; or two at most, and one on a busy machine.

    llama.cpp's threads spin until the slowest of them is done: where two servers have more of them
    than there are cores, both take ten times as long.
    """
    chosen = os.environ.get(THREADS_VARIABLE)
    if chosen is not None:
        if not chosen.isdecimal() or int(chosen) < 1:
            raise EmbeddedUnavailable(f"{THREADS_VARIABLE}={chosen!r}: give a number from 1 on")
        return int(chosen)
    cores = os.cpu_count() or 1
    busy = hasattr(os, "getloadavg") and os.getloadavg()[0] > cores
    return 1 if busy else min(2, cores)
