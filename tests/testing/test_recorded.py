import asyncio
import itertools
import json
import threading

import pytest

import trace_bridge as tb
from trace_bridge.llm.base import Reply, Usage, complete
from trace_bridge.testing import RecordedLLM, RecordingError, UnseenCall


class Model:
    """Numbers its answers."""

    model = "real"

    def __init__(self, **options):
        self.options = options
        self.numbers = itertools.count(1)

    async def complete(self, messages):
        number = next(self.numbers)
        await asyncio.sleep(0)
        usage = Usage(1, prompt_tokens=7, completion_tokens=2, dollars=0.5, priced=1)
        return Reply(f"{messages[-1]['content']} {number} ä", usage, "length")


class Silent(Model):
    async def complete(self, messages):
        raise AssertionError("asked")


def say(llm, *contents):
    async def all_of_them():
        return [await complete(llm, [{"role": "user", "content": text}]) for text in contents]

    return asyncio.run(all_of_them())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "recorded" / "calls.jsonl"


def test_what_was_recorded_is_replayed_without_the_model(path):
    recorded = say(RecordedLLM(Model(), path, record=True), "a", "b\nc")
    assert say(RecordedLLM(Silent(), path), "b\nc", "a") == recorded[::-1]
    assert recorded[0] == Reply("a 1 ä", Usage(1, 0, 7, 2, 0.0, 0.5, 1), "length")
    assert isinstance(RecordedLLM(Silent(), path), tb.LLM)
    assert RecordedLLM(Silent(), path).model == "real"


def test_the_file_is_one_object_per_line(path):
    say(RecordedLLM(Model(temperature=0.5), path, record=True), "a", "b")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["messages"] for row in rows] == [[{"role": "user", "content": c}] for c in "ab"]
    assert rows[0]["model"] == "real"
    assert rows[0]["options"] == {"temperature": 0.5}
    assert rows[0]["reply"]["text"] == "a 1 ä"
    assert rows[0]["reply"]["usage"]["prompt_tokens"] == 7


def test_the_same_call_gets_its_replies_in_order(path):
    recorded = say(RecordedLLM(Model(), path, record=True), "a", "a", "b", "a")
    assert [reply.text for reply in recorded] == ["a 1 ä", "a 2 ä", "b 3 ä", "a 4 ä"]
    replayed = RecordedLLM(Silent(), path)
    assert say(replayed, "a", "b", "a", "a") == [recorded[i] for i in (0, 2, 1, 3)]
    with pytest.raises(UnseenCall, match="recorded 3 times, and is made once more"):
        say(replayed, "a")


def test_recording_makes_only_what_is_not_there(path):
    say(RecordedLLM(Model(), path, record=True), "a", "b")
    again = Model()
    again.numbers = itertools.count(11)
    replies = say(RecordedLLM(again, path, record=True), "a", "c", "b", "a")
    assert [reply.text for reply in replies] == ["a 1 ä", "c 11 ä", "b 2 ä", "a 12 ä"]
    assert say(RecordedLLM(Silent(), path), "a", "c", "b", "a") == replies


def test_an_unseen_call_is_loud_and_tells_what_to_do(path):
    long = "\n".join(f"line {i}" for i in range(50))
    say(RecordedLLM(Model(), path, record=True), f"{long}\nDouble 1.", "something else")
    with pytest.raises(UnseenCall) as caught:
        say(RecordedLLM(Silent(), path), f"{long}\nDouble 2.")
    said = str(caught.value)
    assert str(path) in said
    assert "set TRACE_BRIDGE_RECORD=1 or pass record=True" in said
    assert "-Double 1." in said
    assert "+Double 2." in said
    assert "something else" not in said
    assert "line 3\n" not in said, "only what differs"


def test_a_long_difference_is_cut(path):
    say(RecordedLLM(Model(), path, record=True), "\n".join(map(str, range(300))))
    with pytest.raises(UnseenCall, match=r"\.\.\. and \d+ lines more$"):
        say(RecordedLLM(Silent(), path), "\n".join(map(str, range(300, 600))))


def test_an_unseen_call_ends_a_run_and_is_no_failure_of_the_agent(path):
    class Agent(tb.Module):
        def __init__(self):
            self.prompt = tb.node("p", trainable=True)

        def forward(self, x):
            return x

    async def judge(example, output):
        reply = await complete(model, [{"role": "user", "content": str(output)}])
        return float(reply.text == "good")

    path.parent.mkdir()
    path.touch()
    model = RecordedLLM(Silent(), path)
    rows = [{"x": i} for i in range(20)]
    with pytest.raises(UnseenCall, match="There is no call in it"):
        tb.optimize(Agent(), rows, judge, llm=model, optimizer="opro", progress=False)
    with pytest.raises(UnseenCall, match="There is no call in it"):
        tb.optimize(
            Agent(), rows, lambda *_: (0.5, "no"), llm=model, optimizer="opro", progress=False
        )


@pytest.mark.parametrize("change", ["model", "options", "role"])
def test_another_model_or_options_are_another_call(path, change):
    say(RecordedLLM(Model(temperature=0.0), path, record=True), "a")
    model, role = Silent(temperature=0.0), "user"
    if change == "model":
        model.model = "other"
    elif change == "options":
        model.options = {"temperature": 1.0}
    else:
        role = "system"
    with pytest.raises(UnseenCall, match=r"\+(model: other|options: .*1\.0|system: a)"):
        asyncio.run(RecordedLLM(model, path).complete([{"role": role, "content": "a"}]))


def test_no_secret_is_written_and_none_matters(path):
    secret = {"api_key": "sk-1", "extra_headers": {"X": "sk-2"}, "aws_secret_access_key": "sk-3"}
    say(RecordedLLM(Model(**secret, seed=1), path, record=True), "a")
    assert "sk-" not in path.read_text(encoding="utf-8")
    assert say(RecordedLLM(Silent(api_key="another", seed=1), path), "a")[0].text == "a 1 ä"


def test_the_environment_says_whether_to_record(path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="nothing to replay.*TRACE_BRIDGE_RECORD=1"):
        RecordedLLM(Model(), path)
    monkeypatch.setenv("TRACE_BRIDGE_RECORD", "1")
    say(RecordedLLM(Model(), path), "a")
    with pytest.raises(UnseenCall):
        say(RecordedLLM(Model(), path, record=False), "b")


@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_last_line_without_its_end_counts_for_nothing(path, left):
    recorded = say(RecordedLLM(Model(), path, record=True), "a", "b")
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:left])
    assert say(RecordedLLM(Silent(), path), "a") == recorded[:1]
    with pytest.raises(UnseenCall):
        say(RecordedLLM(Silent(), path), "b")
    again = say(RecordedLLM(Model(), path, record=True), "a", "b")
    assert again[1].text == "b 1 ä"
    assert say(RecordedLLM(Silent(), path), "a", "b") == again


def test_a_file_that_is_nothing_but_half_a_line(path):
    path.parent.mkdir()
    path.write_text('{"model": "re')
    with pytest.raises(UnseenCall, match="There is no call in it"):
        say(RecordedLLM(Silent(), path), "a")
    say(RecordedLLM(Model(), path, record=True), "a")
    assert say(RecordedLLM(Silent(), path), "a")[0].text == "a 1 ä"


@pytest.mark.parametrize("line", ["{", "3", "{}", '{"model": "m", "reply": {"text": "x"}}'])
def test_a_damaged_line_is_named(path, line):
    say(RecordedLLM(Model(), path, record=True), "a")
    path.write_text(f"{path.read_text(encoding='utf-8')}{line}\n", encoding="utf-8")
    with pytest.raises(RecordingError, match=r"calls\.jsonl, line 2 is no recorded call"):
        RecordedLLM(Silent(), path)


def test_threads_and_tasks_may_share_one(path):
    shared, contents = RecordedLLM(Model(), path, record=True), [f"q{i % 5}" for i in range(20)]

    async def at_once():
        turns = [[{"role": "user", "content": text}] for text in contents]
        return await asyncio.gather(*map(shared.complete, turns))

    threads = [threading.Thread(target=asyncio.run, args=(at_once(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 160
    replayed = RecordedLLM(Silent(), path)
    texts = {reply.text for reply in say(replayed, *(contents * 8))}
    assert len(texts) == 160
