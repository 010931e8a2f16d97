"""Precision and recall of the edges of LangGraph runs, on programs whose true edges are known.

As they are asserted here (and with the figures of 6 + 6 + 6 programs, sync and async): those that
the recorder was made with, 1.00 and 1.00; tutorials that it was mended with, 1.00 and 1.00; and
those written after it was frozen. Their first run is told in ``langgraph_held_out``.
"""

import asyncio

import langgraph_held_out
import langgraph_programs
import langgraph_tutorials
import pytest
from langchain_test_tools import edges
from trace_bridge_langchain import wrap

from trace_bridge import Recorder


def found_in(graph, given, *, is_async):
    module = wrap(graph)
    recorder = Recorder(module.inputs({"inputs": given}))
    with recorder.recording() as root:
        if is_async:
            with module.attached():
                output = asyncio.run(graph.ainvoke(given))
        else:
            output = module.run({"inputs": given})
        root.returns(output, module.fields(output))
    return edges(recorder)


def measured(programs, *, is_async):
    right = found = true = 0
    for make in programs.values():
        graph, given, truth = make()
        edges_found = found_in(graph, given, is_async=is_async)
        right += len(edges_found & truth)
        found += len(edges_found)
        true += len(truth)
    return right / found, right / true


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("programs", [langgraph_programs, langgraph_tutorials])
def test_programs_that_the_recorder_was_made_with(programs, is_async):
    precision, recall = measured(programs.PROGRAMS, is_async=is_async)
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("is_async", [False, True])
def test_programs_that_were_written_after_it(is_async):
    precision, recall = measured(langgraph_held_out.PROGRAMS, is_async=is_async)
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("name", langgraph_programs.PROGRAMS)
def test_the_state_holds_nothing_of_ours(name):
    graph, given, _ = langgraph_programs.PROGRAMS[name]()
    bare = graph.invoke(given)
    module = wrap(graph)
    with Recorder({}).recording():
        output = module.run({"inputs": given})
    assert type(output) is type(bare)
    assert {key: type(value) for key, value in output.items()} == {
        key: type(value) for key, value in bare.items()
    }
