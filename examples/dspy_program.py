"""A person's name in bibliographic form: "Dr. Eran Yahav" becomes "Yahav, E.".

An ordinary DSPy program. It works with DSPy 3.0 and newer, and any model:

    dspy.configure(lm=dspy.LM("openai/gpt-4o-mini"))
    Citation()(name="Dr. Eran Yahav").citation
"""

import csv
from pathlib import Path
from typing import Any

import dspy


class CiteAuthor(dspy.Signature):
    """Write the person's name in bibliographic form."""

    name: str = dspy.InputField()
    citation: str = dspy.OutputField()


class PlainAdapter(dspy.Adapter):
    """A bare chat, without field markers, for signatures with one input and one output.

    Small models copy a demonstration much better than they follow a format.
    """

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The instruction as system message, the demonstrations as earlier turns of the chat."""
        [question], [answer] = signature.input_fields, signature.output_fields
        messages = [{"role": "system", "content": signature.instructions}]
        for demo in demos:
            messages.append({"role": "user", "content": demo[question]})
            messages.append({"role": "assistant", "content": demo[answer]})
        return [*messages, {"role": "user", "content": inputs[question]}]

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """The first line of what the model says."""
        [answer] = signature.output_fields
        return {answer: completion.strip().partition("\n")[0].strip()}


class Citation(dspy.Module):
    """The program: one call of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.cite = dspy.Predict(CiteAuthor)

    def forward(self, name: str) -> dspy.Prediction:
        """Ask for one name."""
        with dspy.context(adapter=PlainAdapter()):
            return self.cite(name=name)


def exact(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> bool:  # noqa: ARG001
    """The metric: the citation is right to the letter."""
    return prediction.citation == example.citation


def load_examples(path: str | Path) -> list[dspy.Example]:
    """The rows of a CSV file with the columns ``name`` and ``citation``."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return [dspy.Example(**row).with_inputs("name") for row in csv.DictReader(file)]
