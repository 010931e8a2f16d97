"""A native agent with a pretended model, whose answers depend on its prompt."""

import pytest

import trace_bridge as tb


class Doubler(tb.Module):
    """Doubles numbers if its prompt says so. ``asked`` counts what the model was asked."""

    def __init__(self, prompt="repeat the number"):
        self.prompt = tb.node(prompt, trainable=True)
        self.asked = []

    def forward(self, x):
        return answer(self.prompt, x, self.asked)


@tb.bundle
def answer(prompt, x, asked):
    """Answer as the prompt says."""
    with tb.model_call("pretended") as call:
        asked.append((prompt, x))
        call.usage = tb.Usage(calls=1, prompt_tokens=3)
        return 2 * x if "double" in prompt else x


@pytest.fixture
def agent():
    return Doubler()


@pytest.fixture
def data():
    return [{"x": i, "y": 2 * i} for i in range(1, 61)]


@pytest.fixture
def metric():
    def right(example, output):
        return (1.0, "") if output == example["y"] else (0.0, f"{output} should be doubled")

    return right


@pytest.fixture
def teacher():
    """A scripted model that has to read its prompt: blamed parameter, feedback, failing value."""
    calls = []

    def scripted(messages):
        text = messages[-1]["content"]
        calls.append(text)
        if "repeat the number" in text and "should be doubled" in text and "score 0" in text:
            return '<variable name="self_prompt">double the number</variable>'
        return "I do not know."

    scripted.calls = calls
    return scripted


@pytest.fixture
def run(agent, data, metric, teacher):
    """``optimize`` with all of the above, silently; keywords override."""

    def optimize(**changes):
        settings = {
            "agent": agent, "trainset": data, "metric": metric, "optimizer": "optoprime",
            "llm": teacher, "progress": False, "engine": tb.Engine(concurrency=4),
        }  # fmt: skip
        settings |= changes
        return tb.optimize(
            settings.pop("agent"), settings.pop("trainset"), settings.pop("metric"), **settings
        )

    return optimize
