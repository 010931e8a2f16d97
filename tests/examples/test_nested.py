"""Three frameworks in one another, tuned by one call."""

import asyncio
import contextlib
import io
from pathlib import Path

import pytest
import trace_bridge_autogen

import trace_bridge
from examples import nested
from trace_bridge.plugins import installed, wrap


def test_one_run_tunes_all_three():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        nested.main([])
    printed = out.getvalue()
    assert printed.startswith("[scripted proposals, scripted agents] better: ")
    for text in nested.BETTER.values():
        assert f"+{text}" in printed
    assert printed.rstrip().endswith("the exported RoundRobinGroupChat: 1230")


def test_the_agents_do_not_know_us():
    path = Path(nested.__file__).with_name("nested_desk.py")
    assert "import trace_bridge" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("left", [(), *((path,) for path in nested.BETTER), tuple(nested.BETTER)])
def test_what_each_change_is_worth(left):
    team = nested.desk(nested.Guide(), nested.TableReader(), nested.Phraser())
    module = wrap(team, installed())
    state = {path: text for path, text in nested.BETTER.items() if path not in left}
    example = nested.EXAMPLES[0]
    with trace_bridge_autogen.instrument(), module.using(state):
        result = asyncio.run(module.run(example))
    score, said = nested.exact(example, result)
    assert score == pytest.approx(len(state) / 3)
    assert bool(said) == bool(left)
    assert trace_bridge.jsonable(module.state_dict()) == module.state_dict()
