"""Replies as models really give them: most must change nothing, some are meant well enough.

``source`` is the issue, pull request or study that a reply is modelled on (``owner/repo#number`` on
GitHub); the words are ours. Replies without one were made up for this corpus.
"""

from dataclasses import dataclass

CODE = "def act(x, scale=1):\n    return x * scale\n"
TEMPLATE = "Answer {question} in one line."
PLAIN = "Answer in one line."


@dataclass(frozen=True)
class Case:
    """One reply to an optimizer that asks for a new value of the variable ``p``.

    ``why`` is a part of the reason that is told; a case with ``new`` is adopted, with that value.
    """

    name: str
    reply: str
    why: str = ""
    new: object = None
    source: str = ""
    old: object = PLAIN
    kind: str = "prompt"
    finish: str = "stop"


def var(value, name="p"):
    return f'<variable name="{name}">\n{value}\n</variable>'


NOTHING = "suggests nothing"
CUT = "cut off"
OPEN = "not closed"
JSON = "no JSON that can be read"

GROUPS = {
    "no form at all": [
    Case("no tags", "Make it shorter and friendlier.", NOTHING, source="zou-group/textgrad#15"),
    Case("empty", "", NOTHING, source="stanfordnlp/dspy#8276"),
    Case("white space", " \n\t\n", NOTHING),
    Case("only a bracket", "{", NOTHING, source="stanfordnlp/dspy#8577"),
    Case("only a list's bracket", "[", NOTHING, source="stanfordnlp/dspy#8577"),
    Case("an introduction", "The appropriate output will be as follows:\n-", NOTHING,
         source="guardrails-ai/guardrails#402"),
    Case("the word None", "None", NOTHING, source="zou-group/textgrad#96"),
    Case("refusal", "I'm sorry, but I can't assist with that request.", NOTHING),
    Case("terminate", "TERMINATE", NOTHING, source="microsoft/autogen#2232"),
    Case("content with", "The prompt is fine as it is. TERMINATE", NOTHING,
         source="microsoft/autogen#391"),
    Case("another form's markers", "[[ ## p ## ]]\nAnswer briefly.[[ ## completed ## ]]", NOTHING,
         source="stanfordnlp/dspy#8901"),
    Case("another form's tags", "<p>\nAnswer briefly.\n</p>\n<completed>", NOTHING,
         source="stanfordnlp/dspy#8875"),
    Case("a diff", "<<<<<<< SEARCH\nAnswer\n=======\nReply\n>>>>>>> REPLACE", NOTHING,
         source="algorithmicsuperintelligence/openevolve#241"),
    Case("improved-variable tags", "<IMPROVED_VARIABLE>Reply.</IMPROVED_VARIABLE>", NOTHING,
         source="zou-group/textgrad#89"),
    Case("a provider's stub", "[truncated — reasoning incomplete; raise max_tokens]", NOTHING,
         source="raullenchai/Rapid-MLX#858"),
    Case("a quoted object in a sentence", 'One could set {"p": "Reply."} here.', NOTHING),
    ],
    "cut off": [
    Case("length", var("Answer in one short"), CUT, finish="length",
         source="stanfordnlp/dspy#10126"),
    Case("length, empty", "", CUT, finish="length", source="64bit/async-openai#424"),
    Case("Google's word", "", CUT, finish="MAX_TOKENS",
         source="google-gemini/deprecated-generative-ai-python#280"),
    Case("Anthropic's word", var("Answer in"), CUT, finish="max_tokens",
         source="anthropics/anthropic-sdk-typescript#399"),
    Case("whole JSON and yet cut", '{"p": "Answer"}', CUT, finish="length",
         source="stanfordnlp/dspy#765"),
    Case("a filter", var("Answer"), "ended by a filter", finish="content_filter"),
    Case("Google's filter", "", "ended by a filter", finish="SAFETY",
         source="google/generative-ai-docs#235"),
    Case("an open tag", '<variable name="p">\nAnswer in one short and', OPEN,
         source="gepa-ai/gepa#435"),
    Case("half a tag", var("Answer.")[:-4], OPEN),
    Case("the second one open", var("Answer.") + '<variable name="q">\nfoo', OPEN),
    Case("half an opening tag", '<variable name="p', OPEN),
    Case("thinking alone", "<think>The prompt should ask for one line, so", "inside its thinking",
         source="gepa-ai/gepa#390"),
    Case("thinking with a draft", f"<think>maybe {var('Reply.')} or", "inside its thinking",
         source="gepa-ai/gepa#390"),
    Case("cut JSON", '{"reasoning": "too long", "suggestion": {"p": "Answer in one', NOTHING,
         source="stanfordnlp/dspy#765"),
    Case("cut JSON that ends in a brace", '{"suggestion": {"p": "Fill in {x}', JSON,
         source="stanfordnlp/dspy#10126"),
    Case("JSON without its last brace", '{"suggestion": {"p": "Answer."}', JSON),
    ],
    "JSON that is none": [
    Case("a quote is missing", '{p": "Answer.", "q": 25}', JSON,
         source="langchain-ai/langchain#16458"),
    Case("quotes are missing", "{p: Answer, q: Reply}", JSON,
         source="langchain-ai/langchain#9082"),
    Case("an apostrophe ends the text", "{'p': 'Don't answer.'}", JSON,
         source="langchain-ai/langchain#27065"),
    Case("a bare word", '{\n{"p": Document_Search_Tool}\n}', JSON,
         source="langchain-ai/langchain#23297"),
    Case("JSON in JSON", '{"json_input": {"p": "Answer."}}', "is not one of the variables",
         source="stanfordnlp/dspy#8539"),
    Case("JSON in a text in JSON", '{"json": "{\\n "p": "Answer."\\n}\\n</invoke>"}', JSON,
         source="stanfordnlp/dspy#8539"),
    Case("a call of a tool", '{"type": "function", "name": "json_tool_call", "parameters":'
         ' {"p": "Answer."}}', "is not one of the variables", source="stanfordnlp/dspy#8264"),
    Case("two answers in JSON", '```json\n{"p": "One."}\n```\nor\n```json\n{"p": "Two."}\n```',
         "several JSON objects"),
    Case("one name twice in JSON", '{"p": "One.", "p": "Two."}', "given twice"),
    Case("null for a text", '{"p": null}', "must be text, not NoneType",
         source="stanfordnlp/dspy#9018"),
    Case("None for a text", "{'p': None}", "must be text, not NoneType",
         source="mangiucugna/json_repair#210"),
    Case("a number for a text", '{"p": 3}', "must be text, not int"),
    Case("an object for a text", '{"p": {"role": "system", "content": "Reply."}}',
         "must be text, not dict"),
    ],
    "names": [
    Case("an unknown name", var("Reply.", "prompt"), "prompt is not one of the variables",
         source="AgentOpt/OpenTrace#2"),
    Case("no name", "<variable>Reply.</variable>", "has no name", source="AgentOpt/OpenTrace#34"),
    Case("twice and different", var("One.") + var("Two."), "given twice"),
    ],
    "no value": [
    Case("nothing new", var(PLAIN), "is the value that it has", source="gepa-ai/gepa#379"),
    Case("a new line only", var(f"{PLAIN}\n"), "but for white space"),
    Case("an empty value", var(""), "must not be empty"),
    Case("dots", var("..."), "says nothing"),
    Case("the form's own example", var("the new value"), "says nothing"),
    Case("unchanged", var("(unchanged)"), "says nothing"),
    Case("a refusal as a value", var("I'm sorry, but I cannot help with that."), "is a refusal"),
    Case("as an AI", var("As an AI language model, I cannot rewrite prompts."), "is a refusal"),
    Case("the rest is left out", var("Answer briefly.\n... the rest of the prompt unchanged ..."),
         "leaves something out", source="algorithmicsuperintelligence/openevolve#346"),
    Case("endless", var("Answer. " * 20_000), "write at most", source="zou-group/textgrad#179"),
    Case("a chat template's token", var("Answer briefly.<|im_end|>"), "is no part of a value"),
    ],
    "an optimizer's words": [
    Case("about the value", var("Here is the improved prompt:\nAnswer briefly."),
         "begins with words about the value", source="SylphAI-Inc/AdalFlow#447"),
    Case("our headings", var("Answer briefly.\n\n# run 1\nno"), "is no part of a value",
         source="SylphAI-Inc/AdalFlow#434"),
    Case("GEPA's headings", var("Answer briefly.\n\n## Generated Outputs\nno"),
         "is no part of a value", source="SylphAI-Inc/AdalFlow#434"),
    Case("our tags", var('Answer.\n<variable name="p" kind="prompt">\nx\n</variable>'),
         "is no part of a value", source="SylphAI-Inc/AdalFlow#434"),
    ],
    "learnt by heart": [
    Case("an answer by heart", var("Answer briefly. For birds say: they fly south in the autumn"),
         "copies a training example", source="gepa-ai/gepa#261"),
    Case("a long one in part", var("Note that the river rises in the hills to the north of the old"
         " town and the mill."), "copies a training example", source="gepa-ai/gepa#261"),
    ],
    "placeholders": [
    Case("a lost placeholder", var("Answer in one short line."), "must keep {question}",
         old=TEMPLATE, source="comet-ml/opik#7656"),
    Case("a renamed placeholder", var("Answer {query} in a line."), "must keep {question}",
         old=TEMPLATE),
    Case("an invented placeholder", var("Answer {question} for {user}."), "must not use {user}",
         old=TEMPLATE),
    Case("an invented one where there is none", var("Answer this: {{question}}"),
         "must not use {{question}}", source="mlflow/mlflow#22301"),
    Case("mustache is lost", var("Answer in a line."), "must keep {{question}}",
         old="Answer {{question}}."),
    ],
    "other kinds": [
    Case("a word for a number", var("warm"), "is no value of kind number", old=0.5, kind="number"),
    Case("nan", var("NaN"), "must be finite", old=0.5, kind="number"),
    Case("infinite", var("1e999"), "must be finite", old=0.5, kind="number"),
    Case("a number in words", var("about 3"), "is no value of kind number", old=2, kind="number"),
    Case("true for a number", '{"p": true}', "must be a number, not bool", old=2, kind="number"),
    Case("code that does not parse", var("def act(x, scale=1):\n    return x *"), "does not parse",
         old=CODE, kind="code", source="algorithmicsuperintelligence/openevolve#402"),
    Case("another name", var("def act2(x, scale=1):\n    return x"), "must define act(", old=CODE,
         kind="code", source="algorithmicsuperintelligence/openevolve#106"),
    Case("other arguments", var("def act(x):\n    return x"), "must keep the signature", old=CODE,
         kind="code"),
    Case("prose for code", var("I would multiply by two."), "does not parse", old=CODE,
         kind="code"),
    Case("an elided function", var("def act(x, scale=1):\n    y = 2 * x\n    # ... rest of the"
         " code unchanged\n    return y"), "leaves something out", old=CODE, kind="code"),
    Case("a hard-coded answer", var('def act(x, scale=1):\n    return "they fly south in'
         ' the autumn"'), "copies a training example", old=CODE, kind="code"),
    ],
    "meant well enough": [
    Case("single quotes", "{'suggestion': {'p': 'Reply.'}}", new="Reply.",
         source="waybarrios/vllm-mlx#63"),
    Case("a comma too much", '{"p": "Reply.",}', new="Reply.",
         source="langchain-ai/langchain#11476"),
    Case("Python's None and True", "{'a': None, 'b': True}", "a is not one of the variables",
         source="microsoft/RD-Agent#1374"),
    Case("a fence in a text in JSON", '{"p": "Reply:\\n```json\\n{}\\n```"}',
         new="Reply:\n```json\n{}\n```", source="langchain-ai/langchain#19646"),
    Case("an escaped apostrophe", '{"p": "Don\\\'t answer."}', new="Don't answer.",
         source="langchain-ai/langchain#26655"),
    Case("JSON in a fence in prose", 'Sure!\n```json\n{"p": "Reply."}\n```\nGood luck.',
         new="Reply.", source="langchain-ai/langchain#23297"),
    Case("line breaks in JSON", '{"p": "One.\nTwo."}', new="One.\nTwo."),
    Case("thinking first", f"<think>Let me see {{x}}.</think>\n{var('Reply.')}", new="Reply.",
         source="stanfordnlp/dspy#7489"),
    Case("thinking that only ends", f"Let me see.\n</think>\n{var('Reply.')}", new="Reply.",
         source="SciSharp/LLamaSharp#1090"),
    Case("terminate inside a prompt", var("Say TERMINATE when you are done."),
         new="Say TERMINATE when you are done.", source="microsoft/autogen#943"),
    Case("terminate after it", f"{var('Reply.')}\nTERMINATE", new="Reply."),
    Case("TeX in a prompt", var(r"Put it into \boxed{answer} and \frac{a}{b}."),
         new=r"Put it into \boxed{answer} and \frac{a}{b}."),
    Case("a placeholder kept", var("In a line, answer {question}"),
         new="In a line, answer {question}", old=TEMPLATE),
    Case("code in a fence", var("```python\ndef act(x, scale=1):\n    return x\n```"),
         new="def act(x, scale=1):\n    return x\n", old=CODE, kind="code"),
    Case("a number in a fence", var("```\n3\n```"), new=3, old=2, kind="number"),
    ],
}  # fmt: skip
REPLIES = [case for cases in GROUPS.values() for case in cases]
