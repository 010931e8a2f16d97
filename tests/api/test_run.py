import json

import pytest

import trace_bridge as tb


def test_apply_and_restore_write_the_agent(run, agent):
    found = run()
    found.apply(agent)
    assert agent.prompt.data == "double the number"
    assert agent(x=4).data == 8
    found.restore(agent)
    assert agent.prompt.data == "repeat the number"


def test_a_saved_file_works_in_another_place(run, agent, tmp_path):
    path = run().save(tmp_path / "deep" / "tuned.json")
    fresh = type(agent)()
    tb.load(path).apply(fresh)
    assert fresh.prompt.data == "double the number"
    tb.load(path).restore(fresh)
    assert fresh.prompt.data == "repeat the number"


def test_a_changed_agent_is_reported_and_not_overwritten(run, agent, tmp_path):
    found = run()
    other = type(agent)(prompt="something new")
    with pytest.raises(tb.StateMismatchError, match="self:prompt: neither the value"):
        found.apply(other)
    assert other.prompt.data == "something new"
    found.apply(other, force=True)
    assert other.prompt.data == "double the number"


def test_a_missing_path_is_reported(run):
    class Other(tb.Module):
        def __init__(self):
            self.plan = tb.node("p", trainable=True)

    with pytest.raises(tb.StateMismatchError, match="has no self:prompt; it has: self:plan"):
        run().apply(Other(), force=True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"trace_bridge": {}}'])
def test_a_file_without_values_is_named(tmp_path, text):
    path = tmp_path / "no.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"no\.json holds no tuned values.*run\.save"):
        tb.load(path)


def test_a_newer_file_is_refused(tmp_path):
    path = tmp_path / "new.json"
    path.write_text(json.dumps({"trace_bridge": {"format": 99}}))
    with pytest.raises(ValueError, match="newer trace_bridge"):
        tb.load(path)
