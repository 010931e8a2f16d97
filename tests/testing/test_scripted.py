import asyncio
import re

import pytest

from trace_bridge.llm.base import LLM, Usage
from trace_bridge.testing import ScriptedLLM

HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]


def ask(llm, messages=HELLO):
    return asyncio.run(llm.complete(messages))


def test_a_rule_needs_all_its_needles():
    llm = ScriptedLLM().when("Be kind", re.compile("h.llo"), reply="hi").when("hello", reply="no")
    assert ask(llm).text == "hi"
    assert ask(llm, HELLO[1:]).text == "no"
    assert ask(llm, HELLO[:1]).text == "I have nothing to suggest."
    assert isinstance(llm, LLM)


def test_a_script_reads_the_whole_prompt_and_may_have_no_opinion():
    llm = ScriptedLLM(lambda prompt: "kind" if "system: Be kind." in prompt else None)
    assert ask(llm.when("hello", reply="rule")).text == "kind"
    assert ask(llm, HELLO[1:]).text == "rule"


def test_it_keeps_what_was_said_and_counts_it():
    llm = ScriptedLLM()
    reply = ask(llm)
    assert llm.calls[0].prompt == "system: Be kind.\n\nuser: hello"
    assert llm.calls[0].reply == reply.text
    assert reply.usage == Usage(1, 0, len(llm.calls[0].prompt) // 4, len(reply.text) // 4)


def test_it_can_fail_and_cut_off():
    llm = ScriptedLLM().when("hello", reply=ConnectionError("down"))
    with pytest.raises(ConnectionError, match="down"):
        ask(llm)
    assert len(llm.calls) == 1
    cut = ScriptedLLM().when("hello", reply="I wou", finish_reason="length")
    assert ask(cut).finish_reason == "length"
