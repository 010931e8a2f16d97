"""What a model might answer, to run ``examples.battleship`` without one.

Nothing is learned here: the answers are written down, the last one after the policy that a model
found on the slides of Trace. But each is given only where the prompt holds the code that it mends
and the feedback that shows why; elsewhere the answer is useless.
"""

import re
from typing import NamedTuple

from trace_bridge.testing import ScriptedLLM


class Answer(NamedTuple):
    """New code for the function ``name`` whose last line is ``failing``, after such feedback."""

    name: str
    failing: str
    feedback: str
    code: str


ANSWERS = (
    Answer("act", "return", "None is no [row, column]", '''\
def act(self, map, plan):
    """Given a map and plan, select a target coordinate."""
    return plan'''),
    Answer("reason", "return [0, 0]", "[0, 0] was shot at before", '''\
def reason(self, map):
    """Given a Battleship map, analyze the game: the first unknown cell is next."""
    rows = [row for row, cells in enumerate(map) if "." in cells]
    return [rows[0], map[rows[0]].index(".")]'''),
    Answer("reason", 'return [rows[0], map[rows[0]].index(".")]', "Got 0 reward: missed", '''\
def reason(self, map):
    """Given a Battleship map, analyze the game: unknown cells beside hits are next."""
    best_spot, max_surrounding = [0, 0], -1
    for row, cells in enumerate(map):
        for column, cell in enumerate(cells):
            surrounding = 0
            for down, right in [(-1, 0), (1, 0), (0, -1), (0, 1)]:
                i, j = row + down, column + right
                if 0 <= i < len(map) and 0 <= j < len(cells):
                    surrounding += {".": 1, "X": 1.5, "O": 0}[map[i][j]]
            if cell == "." and surrounding > max_surrounding:
                best_spot, max_surrounding = [row, column], surrounding
    return best_spot'''),
)  # fmt: skip


def scripted() -> ScriptedLLM:
    """The model that climbs from one answer to the next."""
    llm = ScriptedLLM()
    for name, failing, feedback, code in ANSWERS:
        shown = rf"<value>\ndef {name}\((?:(?!</value>).)*\n    {re.escape(failing)}\s*</value>"
        said = rf"<feedback>\n(?:(?!</feedback>).)*{re.escape(feedback)}"
        llm.when(
            re.compile(shown, re.DOTALL),
            re.compile(said, re.DOTALL),
            reply=f'<variable name="{name}_code">\n{code}\n</variable>',
        )
    return llm
