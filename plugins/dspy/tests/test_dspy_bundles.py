"""Bundled functions are functions to DSPy."""

import dspy

import trace_bridge as tb


@tb.bundle
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


class Shop:
    @tb.bundle
    async def price(self, amount: int) -> int:
        """Price in cents."""
        return amount * 250


def test_a_bundled_function_is_a_tool():
    tool = dspy.Tool(add)
    assert (tool.name, tool.desc) == ("add", "Add two numbers.")
    assert tool.args == {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}}
    assert tool(a=1).data == 3


async def test_a_bundled_method_is_a_tool():
    tool = dspy.Tool(Shop().price)
    assert tool.args == {"amount": {"type": "integer"}}
    assert (await tool.acall(amount=2)).data == 500
