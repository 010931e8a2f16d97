"""The programs, on our side alone: what they build, and what they count."""

import pytest

from benchmarks.core import calls, graphs, texts
from benchmarks.core.sides import BUDGET, Ours
from benchmarks.core.worker import run


@pytest.fixture
def ours():
    return Ours()


# Of 40 operations: what each shape's definition says.
EDGES = {
    "chain": 40,
    "tree": 2 * 20 + 2 * 19,
    "minibatch": 4 * (2 + 9) + 4,
    "fan-in": 2 * 39 + 39,
    "fan-out": 2 * 40,
    "lattice": 2 + 2 * 2 * 18 + 2,
    "chain of parameters": 2 * 40,
}


@pytest.mark.parametrize("shape", graphs.SHAPES)
def test_shapes_have_the_edges_that_they_are_defined_by(ours, shape):
    found = graphs.backward(ours, shape, 40, loops=2)
    assert found["edges"] == EDGES[shape]
    assert found["parameters"] == (40 if shape == "chain of parameters" else 1)
    assert found["seconds"] == found["backward"] + found["prompt"] > 0
    assert 0 < found["fitted characters"] <= min(found["characters"], BUDGET)


@pytest.mark.parametrize(
    ("case", "parents"),
    [
        (calls.bundled, 2),
        (calls.bundled_plain, 2),
        (calls.bundled_inside, 2),
        (calls.add, 2),
        (calls.item, 2),
        (calls.formatted, 2),
        (texts.leaf, 0),
        (texts.plus, 2),
    ],
)
def test_single_operations(ours, case, parents):
    seconds, output = case(ours, 10)
    assert seconds > 0
    assert len(ours.parents(output)) == parents


@pytest.mark.parametrize("lines", [3, 100])
def test_a_trainable_function_has_its_lines_and_runs_what_it_was_changed_to(ours, lines):
    _, output = calls.trainable(ours, 2, lines, changed=False)
    source = ours.parents(output)[-1]
    assert source.kind == "code"
    assert len(source.data.splitlines()) in {lines, lines - 1}
    _, changed = calls.trainable(ours, 2, lines, changed=True)
    assert "return y + x" in ours.parents(changed)[-1].data
    assert changed.data == output.data == 3


def test_below_many_parameters(ours):
    _, output = calls.below(ours, 2, 50)
    assert len(output.backward("more").parameters) == 50


def test_a_call_of_a_model(ours):
    _, output = texts.asked(ours, 2, log=True)
    assert output.data == "an answer"
    assert texts.depth(ours, 30)["seconds"] > 0


@pytest.mark.parametrize("kind", ["add", "bundled", "below 10"])
def test_bytes(ours, kind):
    found = calls.held(ours, 200, kind)
    assert found["bytes"] > 50  # less is no object with references in it
    assert abs(found["kept"]) < found["bytes"]


@pytest.mark.parametrize("verb", ["copy", "state", "drawing", "backward"])
def test_deep(ours, verb):
    assert graphs.deep(ours, verb, 3000)["recursion limit"] < 3000


def test_iterations_take_up_what_the_stub_says(ours):
    assert graphs.training(ours, 3)["said"] == 7
    assert graphs.training(ours, 4, memory=True)["said"] == 5  # the last of 16


def test_iterations_that_change_nothing_are_an_error(ours, monkeypatch):
    monkeypatch.setattr(ours, "optimizer", lambda _parameter: (Idle(), ["7"]))
    with pytest.raises(AssertionError, match="the stub said '7'"):
        graphs.training(ours, 1)


class Idle:
    def zero_feedback(self):
        pass

    def backward(self, output, feedback):
        pass

    def step(self):
        pass


def test_threads(ours):
    assert graphs.threads(ours, 20, workers=4) == {"wrong": 0, "raised": ""}


def test_programs_that_go_wrong_on_threads_are_counted(ours, monkeypatch):
    monkeypatch.setattr(ours, "parents", lambda _output: [])
    assert graphs.threads(ours, 5, workers=4)["wrong"] == 5

    def broken(_output):
        raise LookupError

    monkeypatch.setattr(ours, "parents", broken)
    assert graphs.threads(ours, 5, workers=4) == {"wrong": 5, "raised": "LookupError"}


def test_a_library_that_meets_its_limits_has_stopped(ours, monkeypatch):
    def endless(_output):
        return endless(_output)

    monkeypatch.setattr(ours, "copy", endless)
    assert run(ours, "deep", {"verb": "copy", "count": 3}) == {"stopped": "RecursionError"}
