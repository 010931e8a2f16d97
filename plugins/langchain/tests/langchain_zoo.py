"""Agents of every construct, each with the paths that are trained by default.

``ZOO``: name -> (agent, input, default paths). All models echo their prompt.
"""

import functools
import warnings

from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotPromptTemplate,
    FewShotPromptWithTemplates,
    PromptTemplate,
)
from langchain_core.runnables import (
    ConfigurableField,
    RouterRunnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    chain,
)
from langchain_core.tools import tool
from langchain_test_tools import ScriptModel

PROMPTS = {"first": "The first of two", "other": {"second": "The second of two"}}
GLOBAL_PROMPT = "Be very kind to the user."


def template(text):
    return ChatPromptTemplate.from_template(text)


model = ScriptModel()
text = model | StrOutputParser()
one, two = template("Tell one {q}"), template("Tell two {q}")
helper = template("Help with {q}") | text
roles = ChatPromptTemplate.from_messages([("system", "You know {topic}."), ("human", "{q}")])
few = FewShotPromptTemplate(
    examples=[{"a": "1", "b": "2"}],
    example_prompt=PromptTemplate.from_template("{a} gives {b}"),
    prefix="Some examples follow",
    suffix="Now do {q} yourself",
    input_variables=["q"],
)


@tool
def search(query: str) -> str:
    """Search the web for things."""
    return f"found {query}"


class ToolModel(ScriptModel):
    """Echoes what it is told of its tools, too."""

    def _answer(self, messages, kwargs):
        answer = super()._answer(messages, kwargs)
        answer.content = f"{answer.content} TOOLS {kwargs.get('tools')}"
        return answer


def inline(x):
    """Not a prompt, but a docstring."""
    told = [SystemMessage("An inline literal prompt here"), HumanMessage(GLOBAL_PROMPT + x["q"])]
    return model.invoke(told).content


def through(x):
    return helper.invoke(x)


def closed(system_prompt):
    def ask(x):
        return model.invoke([SystemMessage(system_prompt), HumanMessage(x["q"])]).content

    return ask


def with_history(runnable):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and in use
        from langchain_core.runnables.history import RunnableWithMessageHistory

        return RunnableWithMessageHistory(
            runnable, lambda: InMemoryChatMessageHistory(), input_messages_key="q",  # noqa: PLW0108
            history_factory_config=[],
        )  # fmt: skip


class Agent:
    def __init__(self):
        self.system_prompt = "I am the agent's own"
        self.chain = template("Inside {q}") | text

    def run(self, x):
        return self.system_prompt + self.chain.invoke(x)


class Polite:
    system_prompt = "The class is polite"
    more = template("Class {q}") | text

    def __call__(self, x):
        return self.system_prompt + self.ask(x)

    def ask(self, x):
        return self.more.invoke(x) + helper.invoke(x)


def listed(x):
    return PROMPTS["first"] + x["q"]


def told(x, prompt):
    return prompt + x["q"]


@chain
def decorated(x):
    return helper.invoke(x)


def failing(x):
    raise ValueError(x)


Q = {"q": "why?"}
ZOO = {
    "sequence": (
        roles | text,
        {"q": "why?", "topic": "all"},
        ["prompt/system:template"],
    ),
    "few shot": (
        few | text, Q, ["prompt:prefix", "prompt:suffix", "prompt:examples", "prompt:template"],
    ),
    "parallel": (
        RunnableParallel(a=one | text, b=two | text), Q,
        ["a/prompt/human:template", "b/prompt/human:template"],
    ),
    "assign": (
        RunnablePassthrough.assign(x=one | text) | template("Then {x}") | text, Q,
        ["prompt/human:template", "x/prompt/human:template"],
    ),
    "branch": (
        RunnableBranch((lambda x: "no" in x["q"], one | text), two | text), Q,
        ["prompt/human:template"],
    ),
    "fallbacks": (
        (RunnableLambda(failing) | one).with_fallbacks([two | text]), Q,
        ["fallbacks/prompt/human:template"],
    ),
    "router": (
        RouterRunnable({"one": one | text}), {"key": "one", "input": Q},
        ["one/prompt/human:template"],
    ),
    "bound tools": (
        one | ToolModel().bind_tools([search]) | StrOutputParser(), Q, ["prompt/human:template"],
    ),
    "alternatives": (
        (one | text).configurable_alternatives(
            ConfigurableField(id="which"), default_key="a", b=two | text
        ), Q, ["prompt/human:template"],
    ),
    "retry": ((one | text).with_retry(), Q, ["prompt/human:template"]),
    "each": ((one | text).map(), [Q, {"q": "how?"}], ["prompt/human:template"]),
    "bound settings": (
        one | model.bind(temperature=0.5) | StrOutputParser(), Q, ["prompt/human:template"],
    ),
    "global in a lambda": (RunnableLambda(inline), Q, ["inline:GLOBAL_PROMPT"]),
    "chain in a global": (RunnableLambda(through), Q, ["through/helper/prompt/human:template"]),
    "closure": (RunnableLambda(closed("A closed prompt.")), Q, ["ask:system_prompt"]),
    "bound method": (
        RunnableLambda(Agent().run), Q, ["run:system_prompt", "run/chain/prompt/human:template"],
    ),
    "decorated": (decorated, Q, ["decorated/helper/prompt/human:template"]),
    "class": (
        RunnableLambda(Polite().__call__), Q,
        ["__call__:system_prompt", "__call__/more/prompt/human:template",
         "__call__/ask/helper/prompt/human:template"],
    ),
    "table": (RunnableLambda(listed), Q, ["listed/PROMPTS:first"]),
    "partial": (RunnableLambda(functools.partial(told, prompt="Told")), Q, ["self:prompt"]),
    "partial variable": (
        template("{instructions}: {q}").partial(instructions="Do so") | text, Q,
        ["prompt/partial_variables:instructions"],
    ),
    "content blocks": (
        ChatPromptTemplate.from_messages(
            [SystemMessage([{"type": "text", "text": "A block"}]), ("human", "{q}")]
        ) | text, Q, ["prompt/system/content:content"],
    ),
    "few shot with templates": (
        FewShotPromptWithTemplates(
            examples=[{"a": "1", "b": "2"}], input_variables=["q"],
            example_prompt=PromptTemplate.from_template("{a} gives {b}"),
            prefix=PromptTemplate.from_template("Some examples"),
            suffix=PromptTemplate.from_template("Now {q}"),
        ) | text, Q,
        ["prompt:examples", "prompt:template", "prompt/prefix:template", "prompt/suffix:template"],
    ),
    "history": (
        with_history(one | text), Q, ["prompt/human:template"],
    ),
}  # fmt: skip
