"""What the scripted model of the credit probe is shown, read from each side's own prompt.

Each function gives the variables in the order in which they are shown, the steps of the runs, and
the feedback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from benchmarks.robustness.letter import Step

Shown = tuple[Mapping[str, str], Sequence[Step], str]

_VARIABLE = re.compile(r'<variable name="(\w+)".*?<value>\n(.*?)\n</value>', re.DOTALL)
_GAVE = re.compile(r"^(\w+) = write\((.*)\)\n {4}# gave (.*(?:\n {4}.*)*)", re.MULTILINE)
_CODE = re.compile(r"^(\w+) = write\((.*)\)$", re.MULTILINE)
_TYPED = re.compile(r"^\(str\) (\w+)=(.*(?:\n(?!\(str\)|#|\n|\Z).*)*)", re.MULTILINE)
_NAMED = re.compile(r"\w+=(\w+)")
_CURRENT = re.compile(r"task for me:\n```\n(.*?)\n```\n", re.DOTALL)


def ours(prompt: str) -> Shown:
    """A program with its values, as ``trace_bridge.OptoPrime`` shows it."""
    values = dict(_VARIABLE.findall(prompt))
    steps: list[Step] = []
    for run in prompt.split("\n# run ")[1:]:
        wrote: dict[str, str] = {}
        for name, arguments, gave in _GAVE.findall(run):
            steps.append(_step(_NAMED.findall(arguments), values, wrote, gave))
            wrote[name] = gave
    return (
        values,
        steps,
        "\n".join(re.findall(r"<feedback>\n(.*?)\n</feedback>", prompt, re.DOTALL)),
    )


def trace_opt(prompt: str) -> Shown:
    """A problem in sections, as ``opto.optimizers.OptoPrime`` shows it."""
    problem = prompt[prompt.index("Now you see problem instance") :]
    sections = dict(re.findall(r"^#(\w+)\n(.*?)\n(?=#\w|=====)", problem, re.DOTALL | re.MULTILINE))
    values = dict(_TYPED.findall(sections["Variables"]))
    # some steps of longer runs are shown as inputs, without what made them
    wrote = dict(_TYPED.findall(f"{sections['Inputs']}\n{sections['Others']}"))
    steps = [
        _step(_NAMED.findall(arguments), values, wrote, wrote[name])
        for name, arguments in _CODE.findall(sections["Code"])
    ]
    return values, steps, sections["Feedback"]


def _step(
    inputs: Sequence[str], values: Mapping[str, str], wrote: Mapping[str, str], gave: str
) -> Step:
    variable = next((name for name in inputs if name in values), "")
    return Step(variable, "\n".join(wrote[name] for name in inputs if name in wrote), gave)


def gepa(prompt: str) -> Shown:
    """One text and records of what was made with it, as GEPA's reflection prompt shows them."""
    current = _CURRENT.search(prompt)
    values = {"": current[1]} if current else {}
    steps: list[Step] = []
    feedback: list[str] = []
    for record in prompt.split("# Example ")[1:]:
        sections = dict(
            re.findall(r"^## ([\w ]+)\n(.*?)(?=^## |\Z)", record, re.DOTALL | re.MULTILINE)
        )
        steps.append(Step("", sections["Inputs"], sections["Generated Outputs"]))
        feedback.append(sections["Feedback"])
    return values, steps, "\n".join(feedback)
