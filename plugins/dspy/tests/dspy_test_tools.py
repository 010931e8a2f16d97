"""A model whose answers are a function of the prompt, and what else tests of the plugin share."""

from dspy.utils.dummies import DummyLM

from trace_bridge import BudgetExhaustedError, Usage, link


class ScriptLM(DummyLM):
    """Answers with ``function(messages)``: a dict of fields, or raw text."""

    def __init__(self, function):
        super().__init__([], follow_examples=True)
        self.function = function
        self.prompts = []

    def _use_example(self, messages):  # what DummyLM asks for, in DSPy 3.0 to 3.4
        self.prompts.append(messages)
        answer = self.function(messages)
        if isinstance(answer, str):
            return answer
        parts = [f"[[ ## {name} ## ]]\n{value}" for name, value in answer.items()]
        return "\n\n".join([*parts, "[[ ## completed ## ]]"])


def system(messages):
    return messages[0]["content"]


def question(messages, field="question"):
    """The last value that the prompt gives for an input field."""
    text = messages[-1]["content"].rpartition(f"[[ ## {field} ## ]]\n")[2]
    return text.partition("\n\n")[0].strip()


class Meter:
    """A gate that lets everything pass, or only so many calls."""

    def __init__(self, limit=None):
        self.limit = limit
        self.calls = []

    def admit(self, call):
        if self.limit is not None and len(self.calls) >= self.limit:
            raise BudgetExhaustedError("no more")
        self.calls.append(call)

    def settle(self, call, admitted):
        pass

    @property
    def usage(self):
        return sum((call.usage for call in self.calls), Usage())


def edges(recorder):
    """Component-to-component edges of a recording, as (op, op)."""
    node = link(recorder)
    ops = {call.op for call in recorder.calls if not call.is_frame}
    found, seen, pending = set(), set(), [node]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        pending += current.parents
        if current.op in ops:
            found |= {(made.op, current.op) for made in _makers(current, ops)}
    return found


def _makers(node, ops):
    """The nearest components above a node, through fields, frames and composed values."""
    pending, seen = list(node.parents), set()
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.op in ops:
            yield current
        else:
            pending += current.parents
