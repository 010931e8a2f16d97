"""LiteLLM against a real HTTP server on loopback that speaks OpenAI's protocol."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trace_bridge.llm.base import ModelUnavailableError, complete
from trace_bridge.llm.lite import LiteLLM

HELLO = [{"role": "user", "content": "hello"}]


class Provider(BaseHTTPRequestHandler):
    """Answers with the statuses it is told, then with the last user turn in capitals."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.headers["Authorization"], body))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        answer = {"error": {"message": "told to fail", "type": "server_error", "code": str(status)}}
        if status == 200:
            answer = {
                "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
                "choices": [{
                    "index": 0, "finish_reason": self.server.finish_reason,
                    "message": {
                        "role": "assistant", "content": body["messages"][-1]["content"].upper(),
                    },
                }],
                "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
            }  # fmt: skip
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Quietly."""


@pytest.fixture
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.statuses, server.requests, server.finish_reason = [], [], "stop"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def model(provider, **options):
    address = f"http://127.0.0.1:{provider.server_port}/v1"
    return LiteLLM("openai/some-model", api_base=address, api_key="secret", **options)


def ask(llm):
    return asyncio.run(complete(llm, HELLO))


def test_text_usage_and_finish_reason(provider):
    provider.finish_reason = "length"
    reply = ask(model(provider, temperature=0.25))
    assert (reply.text, reply.finish_reason) == ("HELLO", "length")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 2)
    [(key, body)] = provider.requests
    assert key == "Bearer secret"
    assert body["temperature"] == 0.25
    assert body["messages"] == HELLO


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_rate_limit_or_a_failing_server_is_tried_again(provider, status):
    provider.statuses = [status]
    assert ask(model(provider)).text == "HELLO"
    assert len(provider.requests) == 2


def test_a_wrong_key_is_not_tried_again(provider):
    provider.statuses = [401] * 9
    with pytest.raises(ModelUnavailableError, match="AuthenticationError"):
        ask(model(provider))
    assert len(provider.requests) == 1


def test_a_server_that_is_not_there():
    gone = LiteLLM("openai/some-model", api_base="http://127.0.0.1:9/v1", api_key="x", retries=0)
    with pytest.raises(ModelUnavailableError, match="'openai/some-model' did not answer"):
        ask(gone)
