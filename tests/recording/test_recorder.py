import asyncio
import contextvars
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from trace_bridge.graph import Parameter
from trace_bridge.recording import Recorder, current_call, note_read


def test_outside_a_run_nothing_is_recorded():
    assert current_call() is None
    note_read(object(), "x")  # and that is no error


def test_calls_are_nested_as_they_were_made():
    recorder = Recorder({"q": "?"})
    with recorder.recording() as root:
        assert current_call() is root
        with root.frame("outer", {}) as outer:
            assert current_call() is outer
            with outer.component("inner", {"x": 1}, {}) as inner:
                inner.returns(2)
            assert current_call() is outer
        assert current_call() is root
    assert current_call() is None
    assert [call.op for call in recorder.calls] == ["outer", "inner"]
    assert [call.parent for call in recorder.calls] == [root, outer]
    assert root.started < outer.started < inner.started < inner.ended < outer.ended < root.ended
    assert outer.is_frame
    assert not inner.is_frame
    assert inner.fields == {"": 2}


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_exceptions_are_noted_and_go_on(error):
    recorder = Recorder()
    with pytest.raises(type(error)), recorder.recording() as root:  # noqa: SIM117
        with root.component("inner", {}, {}):
            raise error
    [call] = recorder.calls
    assert call.error is error
    assert recorder.root.error is error
    assert call.ended >= 0
    assert current_call() is None


def test_a_run_is_freed_without_the_garbage_collector():
    value, recorder = Parameter("v"), Recorder({"q": "?"})
    with recorder.recording() as root, root.component("c", {"x": value}, {}) as call:
        inherited = contextvars.copy_context()  # as a task's: who works in it enters calls, too
        inherited.run(_work)
        call.returns("x", made_of=[recorder.calls[-1]])
    kept = weakref.ref(value)
    gc.disable()
    try:
        del value, recorder, root, call, inherited
        assert kept() is None
    finally:
        gc.enable()


def _work():
    with current_call().component("inner", {}, {}):
        pass


def test_what_begins_when_the_run_is_over_has_no_part_in_it():
    recorder = Recorder(repeat=2)
    with recorder.recording() as root, root.component("c", {}, {}) as call:
        inherited = contextvars.copy_context()
    assert inherited.run(current_call).recorder.repeat == 2
    inherited.run(_work)
    inherited.run(note_read, call, "x")
    assert recorder.calls == [call]
    assert recorder.reads == []


def test_used_parameters_each_once():
    p, q = Parameter("a"), Parameter("b")
    recorder = Recorder()
    with recorder.recording() as root:
        for parameters in ({"x": p}, {"x": p, "y": q}, {}):
            with root.component("c", {}, parameters):
                pass
    assert [id(parameter) for parameter in recorder.used()] == [id(p), id(q)]


def test_reads_belong_to_the_call_that_read():
    value, recorder = ["x"], Recorder()
    with recorder.recording() as root:
        note_read(value, "a")
        with root.frame("f", {}) as frame:
            note_read(value, "b")
    assert [(call, at, name) for _, call, at, name in recorder.reads] == [
        (root, id(value), "a"),
        (frame, id(value), "b"),
    ]


def test_a_raw_thread_records_below_a_call_that_it_enters():
    recorder = Recorder()

    def work(call):
        assert current_call() is None
        with call.entered():
            assert current_call() is call
            with current_call().component("inner", {}, {}):
                pass
        assert current_call() is None

    with recorder.recording() as root:
        thread = threading.Thread(target=work, args=(root,))
        thread.start()
        thread.join()
    [call] = recorder.calls
    assert call.parent is root


def test_threads_with_the_context_record_into_their_own_run():
    def work(number):
        recorder = Recorder({"n": number})
        with recorder.recording() as root:
            for _ in range(20):
                with root.component(f"c{number}", {}, {}):
                    inherited = contextvars.copy_context()
                    with ThreadPoolExecutor(1) as pool:
                        assert pool.submit(inherited.run, current_call).result().op == f"c{number}"
        return recorder

    with ThreadPoolExecutor(8) as pool:
        for number, recorder in enumerate(pool.map(work, range(8))):
            assert [call.op for call in recorder.calls] == [f"c{number}"] * 20


async def test_tasks_record_into_their_own_run():
    async def work(number):
        recorder = Recorder()
        with recorder.recording() as root:
            for _ in range(5):
                with root.component(f"c{number}", {}, {}):
                    await asyncio.sleep(0)
        return recorder

    found = await asyncio.gather(*map(work, range(32)))
    assert [[call.op for call in recorder.calls] for recorder in found] == [
        [f"c{number}"] * 5 for number in range(32)
    ]
