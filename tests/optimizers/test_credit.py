"""Credit: the faulty one of k equal components is found by the graph, and mended at once."""

import random
import re

import pytest

import trace_bridge as tb
from trace_bridge.llm.base import CallableLLM
from trace_bridge.optimizers.credit import blamed

SEEDS = range(60)
GOOD, BAD = "blue", "teal"


@tb.bundle
def write(prompt, *texts):
    """Write a part of the letter, as the prompt says, below what there is."""
    colour = re.search(r"in (\w+)", prompt)[1]
    number = len(" ".join(texts))
    return "\n".join([*texts, f"Part {number} is in {colour} ink."])


class Agent:
    """k components of one type with similar prompts, one of which asks for the wrong ink.

    Names, the order of creation and the fault's place are drawn. A run gives all its components the
    shared input, and each the parts that some of those before it have written.
    """

    def __init__(self, k, generator):
        self.generator = generator
        self.faulty = generator.randrange(k)
        names = generator.sample([f"writer_{number}" for number in range(k)], k)
        made = {}
        for at in generator.sample(range(k), k):
            colour = BAD if at == self.faulty else GOOD
            made[at] = tb.Parameter(f"Write your part of the letter in {colour}.", names[at])
        self.prompts = [made[at] for at in range(k)]

    def run(self, used, letter="Dear Sir"):
        generator = self.generator
        written, letter = [], tb.node(letter, name="letter")
        for at in used:
            before = generator.sample(
                written, generator.randint(min(1, len(written)), len(written))
            )
            written.append(write(self.prompts[at], letter, *before))
        return write_all(*written)

    def offered(self):
        return self.generator.sample(self.prompts, len(self.prompts))

    @property
    def guilty(self):
        return self.prompts[self.faulty]


@tb.bundle
def write_all(*parts):
    """Put all parts into one letter."""
    return "\n".join(dict.fromkeys("\n".join(parts).splitlines()))


def by_score(text):
    """Feedback that tells nothing but how good a letter is."""
    return float(BAD not in text)


def in_words(text):
    """Feedback that names what is wrong, among words that many values hold."""
    if BAD not in text:
        return 1.0, "The letter is in order."
    return 0.0, f"A part of the letter is in {BAD}, and the letter is to be in one ink."


def graphs(agent, batch, feedback, share=0.5):
    """Feedback for a minibatch in which each component takes part in a share of the runs."""
    k, found = len(agent.prompts), []
    while len(found) < batch or all(graph.score == 1 for graph in found):
        used = [at for at in range(k) if agent.generator.random() < share]
        output = agent.run(used or [agent.generator.randrange(k)])
        found.append(output.backward(feedback(output.peek())))
    return found[-batch:]


def rate(trial):
    return sum(map(trial, SEEDS)) / len(SEEDS)


@pytest.mark.parametrize("k", [4, 8])
@pytest.mark.parametrize(
    ("feedback", "batch", "share"),
    [(by_score, 12, 0.5), (in_words, 6, 0.5), (in_words, 1, 1.0), (in_words, 3, 1.0)],
    ids=["branches, scores only", "branches, words", "one run of all", "three runs of all"],
)
def test_the_faulty_component_is_ranked_first(k, feedback, batch, share):
    def trial(seed):
        agent = Agent(k, random.Random(seed))
        found = blamed(graphs(agent, batch, feedback, share), agent.offered())
        return found[0].parameter is agent.guilty

    assert rate(trial) >= 0.95


def first_shown(messages):
    """Mends the variable that it is shown first, whichever that is."""
    shown = re.search(r'<variable name="(\w+)".*?<value>\n(.*?)\n</value>', messages[1]["content"],
                      re.DOTALL)  # fmt: skip
    mended = re.sub(r"in \w+", f"in {GOOD}", shown[2])
    return f'<variable name="{shown[1]}">{mended}</variable>'


@pytest.mark.parametrize("k", [4, 8])
def test_one_proposal_suffices(k):
    def trial(seed, **options):
        agent = Agent(k, random.Random(seed))
        optimizer = tb.OptoPrime(agent.offered(), CallableLLM(first_shown), **options)
        for graph in graphs(agent, 6, in_words):
            for parameter in graph.parameters:
                parameter.feedback.append(graph)
        optimizer.step()
        return BAD not in agent.run(range(k)).peek()

    assert rate(trial) >= 0.95
    assert rate(lambda seed: trial(seed, mask=True)) < 0.6  # by chance: the graph is hidden


@pytest.mark.parametrize("k", [4, 8])
def test_faults_that_show_now_and_then_are_found_too(k):
    def trial(seed):
        agent = Agent(k, random.Random(seed))
        draw = random.Random(-seed)
        found = []
        for graph in graphs(agent, 24, by_score):
            [(node, given)] = graph.feedback
            hidden = given.score == 0 and draw.random() < 0.3
            found.append(tb.subgraph({node: tb.Feedback(score=1.0)}) if hidden else graph)
        return blamed(found, agent.offered())[0].parameter is agent.guilty

    assert rate(trial) >= 0.95


# ------------------------------------------------------------------ one by one


def test_only_what_lies_on_the_path_is_ranked():
    agent = Agent(4, random.Random(0))
    graph = agent.run([0, 2]).backward((0.0, "bad"))
    assert {blame.parameter for blame in blamed([graph], agent.prompts)} == {
        agent.prompts[0], agent.prompts[2],
    }  # fmt: skip
    assert blamed([graph], agent.prompts[1:2]) == []


def test_outputs_of_one_run_count_each_on_its_own():
    a, b, shared = (tb.Parameter(text, text) for text in ("a", "b", "shared"))
    outputs = {(a + shared): tb.Feedback(score=1.0), (b + shared): tb.Feedback(score=0.0)}
    found = blamed([tb.subgraph(outputs)], [shared, a, b])
    assert [(blame.parameter.name, round(blame.spectrum, 3)) for blame in found] == [
        ("b", 1.0), ("shared", 0.707), ("a", 0.0),
    ]  # fmt: skip


def test_the_scale_of_the_scores_does_not_matter():
    def ranks(*scores):
        p, q = tb.Parameter("p", "p"), tb.Parameter("q", "q")
        runs = [p + "", q + "", p + q]
        found = blamed([o.backward(s) for o, s in zip(runs, scores, strict=True)], [p, q])
        return [(blame.parameter.name, round(blame.total, 6)) for blame in found]

    expected = ranks(0.0, 1.0, 0.5)
    assert [name for name, _ in expected] == ["p", "q"]
    assert ranks(0.0, 100.0, 50.0) == ranks(-100.0, 0.0, -50.0) == expected


def test_equal_blame_keeps_the_order():
    p, q = tb.Parameter("p", "p"), tb.Parameter("q", "q")
    graph = (p + q).backward("bad")
    for order in ([p, q], [q, p]):
        assert [blame.parameter for blame in blamed([graph], order)] == order
    all_well = [(p + q).backward(1.0), (p + "").backward(1.0)]
    assert [blame.parameter.name for blame in blamed(all_well, [q, p])] == ["p", "q"]


def test_nothing_is_blamed_for_what_the_input_says():
    p, q = tb.Parameter("Say it", "p"), tb.Parameter("Say more", "q")
    output = tb.bundle(lambda prompt, text: f"{text}!")(p, tb.node("teal") + q.format())
    found = blamed([output.backward("teal is not wanted")], [p, q])
    assert [blame.origin for blame in found] == [0.0, 0.0]


def test_what_a_step_without_parameters_says_is_put_down_to_those_before_it():
    p, q = tb.Parameter("plan", "p"), tb.Parameter("tone", "q")
    upper = tb.bundle(lambda text: f"{text} teal")(tb.bundle(lambda prompt: "x")(p))
    output = tb.bundle(lambda tone, text: text)(q, upper)
    found = blamed([output.backward("no teal, please")], [q, p])
    assert [(blame.parameter.name, blame.origin) for blame in found] == [("p", 1.0), ("q", 0.0)]


def test_an_error_is_put_down_to_who_failed_and_to_who_made_the_value_that_it_names():
    plan, act, tone = (tb.Parameter(text, text) for text in ("up", "fast", "polite"))
    made = tb.bundle(lambda plan, calm: "sideways")(plan, tb.bundle(lambda tone: "calm")(tone))
    with pytest.raises(ValueError, match="sideways") as caught:
        tb.bundle(_move)(act, made)
    found = blamed([caught.value.node.backward((0.0, str(caught.value)))], [tone, plan, act])
    assert [blame.parameter for blame in found] == [act, plan, tone]
    assert found[1].origin > found[2].origin == 0


def _move(speed, direction):
    raise ValueError(f"{direction} is no direction")


def test_a_masked_run_blames_nobody():
    p = tb.Parameter("p", "p")
    assert blamed([(p + "").backward("bad").masked()], [p]) == []


def test_a_value_is_read_once():
    class Drawing:
        reads = 0

        def __str__(self):
            self.reads += 1
            return "a drawing in teal"

    drawing = Drawing()
    draw, tell = tb.bundle(lambda prompt: drawing), tb.bundle(lambda seen: "It is teal.")
    prompt = tb.Parameter("Draw.", "prompt")
    graph = tell(draw(prompt)).backward((0.0, "not in teal"))
    drawing.reads = 0
    assert [blame.parameter for blame in blamed([graph], [prompt])] == [prompt]
    assert drawing.reads == 1


def test_nothing_to_rank():
    p = tb.Parameter("p", "p")
    assert blamed([], [p]) == []
    assert blamed([(p + "").backward("bad")], []) == []


@tb.bundle
def marked(text):
    """The same, and whether it was short."""
    return f"{text[:40]} x"


def test_large_graphs_take_no_time():
    p = tb.Parameter("p", "p")
    output = p + ""
    for _ in range(10_000):
        output = marked(output)
    graph = output.backward((0.0, "no p please"))
    assert blamed([graph] * 2, [p])[0].total == pytest.approx(2.0)
