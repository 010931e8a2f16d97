from trace_bridge.graph import Feedback, Parameter, bundle
from trace_bridge.optimizers.base import Trial
from trace_bridge.optimizers.prompt import Program, prompt, remembered


@bundle
def made(start):
    return f"{start}!"


def trial(score, **state):
    return Trial(0, state, {0: score}, "dropped")


def test_earlier_candidates_are_a_line_each_and_cut_to_fit():
    program = Program([Parameter("now", "p")])
    trials = [trial(0.25, p="a\nb", other="secret"), trial(1, p="x" * 2000)]
    first, second = remembered(program, trials, 10_000).splitlines()
    assert first == "score 0.25: p = 'a\\nb'"
    assert "characters left out" in second
    assert len(second) < 550
    assert len(remembered(program, trials, 200)) <= 200


def test_what_was_said_of_earlier_candidates_is_shown_the_worst_first():
    program = Program([Parameter("now", "p")])
    said = (
        Feedback("fine", 1.0),
        Feedback("rude", 0.0),
        Feedback("rude", 0.0),
        Feedback("x" * 900),
    )
    failed = Trial(1, {"p": "a"}, {}, "worse on the minibatch", feedback=said[:3])
    present = Trial(2, {"p": "now"}, {0: 1}, "accepted", feedback=said)
    long = Trial(3, {"p": "b"}, {0: 0.5}, "dropped", feedback=said[3:])
    first, second, third = remembered(program, [failed, present, long], 10_000).splitlines()
    assert first == (
        "score 0.333 on a few examples: p = 'a'; said of it: 'rude'; said of it: 'fine'"
    )
    assert second == "score 1: p = 'now'"
    assert "characters left out" in third


def test_a_prompt_keeps_its_budget_with_earlier_candidates():
    p = Parameter("now", "p")
    end = p
    for _ in range(500):
        end = made(end)
    graph = end.backward("long")
    trials = [trial(0.5, p="before " * 300)] * 3
    text = prompt(Program([p]), [graph, graph], trials, 4000)
    assert 3500 < len(text) <= 4000
    assert text.count("score 0.5: p = 'before") == 3
    assert "# tried before" not in prompt(Program([p]), [graph], [], 4000)
