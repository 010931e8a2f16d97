import http.client
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from trace_bridge.llm import embedded as embedded_module
from trace_bridge.llm.embedded import EmbeddedServer, EmbeddedUnavailable, embedded
from trace_bridge.llm.weights import WEIGHTS, WeightsNotFound, find_weights


def what_is_missing():
    if importlib.util.find_spec("xllamacpp") is None:
        return 'xllamacpp: pip install "trace-bridge[local]"'
    try:
        find_weights()
    except WeightsNotFound as error:
        return str(error)
    return ""


MISSING = what_is_missing()
needs_model = [
    pytest.mark.embedded,
    pytest.mark.skipif(bool(MISSING), reason=f"no embedded model: {MISSING}"),
]


def request(server, path, body=None, key=None):
    url = urlsplit(server.base_url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    try:
        connection.request(
            "GET" if body is None else "POST",
            url.path + path,
            None if body is None else json.dumps(body),
            {
                "Authorization": f"Bearer {server.api_key if key is None else key}",
                "Content-Type": "application/json",
                "Origin": "https://a.page.the.user.has.open",
            },
        )
        response = connection.getresponse()
        return response, json.load(response)
    finally:
        connection.close()


def ask(server, text="Say hello.", key=None, tokens=8):
    messages = [{"role": "user", "content": text}]
    body = {"model": server.model, "messages": messages, "max_tokens": tokens, "temperature": 0}
    return request(server, "/chat/completions", body, key)


@pytest.fixture(scope="module")
def server():
    with EmbeddedServer() as started:
        yield started


class TestServing:
    pytestmark = needs_model

    def test_it_answers(self, server):
        response, answer = ask(server)
        assert response.status == 200
        assert answer["choices"][0]["message"]["content"].strip()
        assert answer["usage"]["prompt_tokens"] > 0
        assert answer["usage"]["completion_tokens"] <= 8

    def test_the_same_question_gets_the_same_answer(self, server):
        answers = [ask(server)[1]["choices"][0]["message"]["content"] for _ in range(2)]
        assert answers[0] == answers[1]

    def test_it_has_one_name_made_from_the_files(self, server):
        assert server.model == find_weights().stem.lower().replace(".", "-")
        _, listed = request(server, "/models")
        assert [model["id"] for model in listed["data"]] == [server.model]

    def test_it_listens_on_loopback_only(self, server):
        assert urlsplit(server.base_url).hostname == "127.0.0.1"

    @pytest.mark.parametrize("key", ["", "wrong"])
    def test_the_key_is_enforced(self, server, key):
        assert ask(server, key=key)[0].status == 401

    def test_the_key_is_not_shown(self, server):
        assert server.api_key not in repr(server)
        assert not any(server.api_key in part for part in server._process.args)

    def test_other_pages_may_not_ask(self, server):
        response, _ = ask(server)
        assert response.headers["Access-Control-Allow-Origin"] not in {
            "*",
            "https://a.page.the.user.has.open",
        }

    def test_too_long_a_prompt_is_the_callers_fault(self, server):
        response, answer = ask(server, "word " * (embedded_module.CONTEXT + 10))
        assert response.status == 400
        assert answer["error"]["type"] == "exceed_context_size_error"

    def test_more_clients_than_slots_wait_their_turn(self, server):
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(ask(server)[0].status))
            for _ in range(4 * server.slots)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * len(threads)


class TestLifetime:
    pytestmark = needs_model

    def test_threads_share_one_server(self):
        servers = []
        threads = [threading.Thread(target=lambda: servers.append(embedded())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(servers) == 8
        assert len(set(map(id, servers))) == 1
        servers[0].close()

    def test_after_a_close_another_is_started(self):
        first = embedded()
        first.close()
        assert first.closed
        with embedded() as second:
            assert second is not first
            assert second.model == first.model
            assert second.api_key != first.api_key

    def test_close_stops_it_at_once_even_while_it_answers(self):
        server = EmbeddedServer()
        failures = []

        def wait_for_an_answer():
            try:
                ask(server, "Tell me a very long story.", tokens=1000)
            except OSError as error:
                failures.append(error)

        thread = threading.Thread(target=wait_for_an_answer)
        thread.start()
        time.sleep(0.3)
        started = time.monotonic()
        server.close()
        server.close()
        assert time.monotonic() - started < 2
        thread.join()
        assert len(failures) == 1
        with pytest.raises(ConnectionRefusedError):
            ask(server)

    def test_a_server_that_failed_is_replaced(self):
        first = embedded()
        first._process.kill()
        first._process.wait()
        with embedded() as second:
            assert second is not first
        first.close()

    def test_nothing_is_printed_and_nothing_is_left(self):
        script = (
            "import pathlib, urllib.request\n"
            "from trace_bridge.llm.embedded import embedded\n"
            "server = embedded()\n"
            "with urllib.request.urlopen(server.base_url.replace('/v1', '/health')) as reply:\n"
            "    assert reply.status == 200\n"
            "pathlib.Path('pid').write_text(str(server._process.pid))\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        pid = int(Path("pid").read_text(encoding="utf-8"))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_a_forked_child_leaves_the_server_alone(self, server):
        pid = os.fork()
        if pid == 0:
            server.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert ask(server)[0].status == 200


class TestFailures:
    def test_missing_library_names_the_extra(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "xllamacpp", None)
        with pytest.raises(EmbeddedUnavailable, match=r'pip install "trace-bridge\[local\]"'):
            EmbeddedServer(tmp_path / "x.gguf")

    def test_missing_weights(self, monkeypatch):
        monkeypatch.setenv("TRACE_BRIDGE_GGUF", "nowhere.gguf")
        with pytest.raises(WeightsNotFound, match=r"nowhere\.gguf"):
            EmbeddedServer()

    @pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None, reason="needs the extra `local`"
    )
    @pytest.mark.embedded
    def test_the_variable_decides_and_a_damaged_file_is_named(self, monkeypatch, tmp_path):
        damaged = tmp_path / WEIGHTS
        damaged.write_bytes(b"GGUF" + bytes(1000))
        monkeypatch.setenv("TRACE_BRIDGE_GGUF", str(damaged))
        with pytest.raises(EmbeddedUnavailable, match="cannot serve .*damaged") as caught:
            EmbeddedServer()
        assert str(damaged) in str(caught.value)

    def test_a_child_that_dies_is_told(self, monkeypatch, tmp_path):
        monkeypatch.setattr(embedded_module.importlib.util, "find_spec", lambda name: object())
        monkeypatch.setattr(embedded_module, "_CHILD", "raise SystemExit(7)")
        with pytest.raises(EmbeddedUnavailable, match=r"exit code 7 .*x\.gguf"):
            EmbeddedServer(tmp_path / "x.gguf")

    def test_the_child_reports_a_library_that_does_not_load(self, monkeypatch, tmp_path):
        (tmp_path / "xllamacpp.py").write_text("raise ImportError('no libgomp')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(EmbeddedUnavailable, match=r"no libgomp.*trace-bridge\[local\]"):
            EmbeddedServer(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("cores", "load", "threads"), [(8, 0.5, 2), (8, 8.5, 1), (1, 0.5, 1), (None, 0.0, 1)]
)
def test_threads(monkeypatch, cores, load, threads):
    monkeypatch.delenv("TRACE_BRIDGE_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert embedded_module._threads() == threads


def test_importing_it_loads_nothing_heavy():
    script = (
        "import sys; import trace_bridge.llm.embedded; "
        "heavy = {'click', 'litellm', 'openai', 'xllamacpp'}; "
        "sys.exit(bool(heavy & {*sys.modules}))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", script], env=env, check=True)


def test_the_variable_decides_on_threads(monkeypatch):
    monkeypatch.setenv("TRACE_BRIDGE_THREADS", "3")
    assert embedded_module._threads() == 3


@pytest.mark.parametrize("threads", ["0", "-1", "two", ""])
def test_a_strange_number_of_threads_is_named(monkeypatch, tmp_path, threads):
    monkeypatch.setattr(embedded_module.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("TRACE_BRIDGE_THREADS", threads)
    with pytest.raises(EmbeddedUnavailable, match=f"TRACE_BRIDGE_THREADS={threads!r}: give"):
        EmbeddedServer(tmp_path / "x.gguf")
