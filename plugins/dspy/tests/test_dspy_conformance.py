"""The DSPy plugin keeps every rule of the shipped conformance suite."""

import inspect

import dspy
import pytest
import trace_bridge_dspy
from dspy_test_tools import ScriptLM

from trace_bridge.testing import PluginConformance


class Answer(dspy.Module):
    """Two predictors in a row."""

    def __init__(self, lm):
        super().__init__()
        self.think = dspy.Predict(dspy.Signature("question -> idea", "Have an idea."))
        self.say = dspy.Predict(dspy.Signature("question, idea -> answer", "Say it."))
        self.think.demos = [dspy.Example(question="q", idea="i").with_inputs("question")]
        self.say.demos = [dspy.Example(question="q", idea="i", answer="a").with_inputs("question")]
        self.set_lm(lm)

    def forward(self, question):
        return self.say(question=question, idea=self.think(question=question).idea)


def echo(messages):
    """A fake model: the answer holds the whole prompt, less its own markers."""
    prompt = (
        " / ".join(message["content"] for message in messages)
        .replace("[[ ##", "(")
        .replace("## ]]", ")")
    )
    return {"idea": prompt, "answer": prompt}


class TestDSPyConformance(PluginConformance):
    plugin = trace_bridge_dspy
    framework_modules = ("dspy",)
    # before 3.1, DSPy tries another adapter after whatever error
    asks_again = int("except Exception" in inspect.getsource(dspy.ChatAdapter.__call__))

    def make_agent(self):
        return Answer(ScriptLM(echo))

    def examples(self):
        return [dspy.Example(question=q).with_inputs("question") for q in ("Why?", "How?")]

    def call(self, agent, example):
        return agent(**example.inputs())

    def changed(self, path, value, number):
        if path.endswith(":demos"):
            return [{**demo, "question": f"question {number}"} for demo in value]
        return super().changed(path, value, number)

    def snapshot(self, agent):
        return [agent.dump_state(), len(agent.history), len(agent.say.history)]

    def output(self, output):
        return output.toDict() if isinstance(output, dspy.Prediction) else output


pytestmark = pytest.mark.timeout(300)
