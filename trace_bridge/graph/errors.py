"""What a traced function raises: the user's own exception, with the failure as a node."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from trace_bridge.graph.node import Node


class ExecutionError(Exception):
    """A traced function raised. ``node`` is the failure as an output that can get feedback.

    The class that is raised also derives from the original's class, so the user's own
    ``except KeyError`` still works; the original is the ``__cause__``.
    """

    node: Node
    original: type[Exception]

    def __init_subclass__(cls, **_: object) -> None:
        """Nothing: that of the original may want arguments, or forbid subclasses."""

    @classmethod
    def of(cls, error: Exception, node: Node) -> ExecutionError:
        """The error to raise for ``error``."""
        # the original's own __new__ and __init__ may want arguments that nobody knows
        bases = cast("tuple[type[Exception], ...]", type(error).__mro__)
        builtin = next(base for base in bases if base.__module__ == "builtins")
        try:
            raised = builtin.__new__(_error_class(type(error)), *error.args)
            _restore(raised, _state(error))
        except TypeError:  # a class that is final, or made in another language (pydantic's)
            raised = builtin.__new__(_error_class(builtin), message_of(error))
        original = error.original if isinstance(error, ExecutionError) else type(error)
        _restore(raised, {"node": node, "original": original})
        return raised

    def __reduce__(self) -> tuple[object, ...]:
        # another process makes the class again; the node gets there as a leaf
        return _remade, (type(self).__mro__[2], self.args, _state(self))


def message_of(error: Exception) -> str:
    """The text of ``error``, also if its class fails to give one."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 (it must not take the place of the user's error)
        return f"<no message: {type(failure).__name__} in its __str__>"


def _state(error: Exception) -> dict[str, object]:
    """The attributes of ``error``, also those that live in slots or in C."""
    state: dict[str, object] = {"args": error.args}
    for base in type(error).__mro__:
        for name, member in vars(base).items():
            if name.startswith("__") or not inspect.isdatadescriptor(member):
                continue
            value = None if isinstance(member, property) else getattr(error, name, None)
            if value is not None:
                state[name] = value
    return state | error.__dict__


def _restore(raised: Exception, state: dict[str, object]) -> None:
    for name, value in state.items():
        with contextlib.suppress(AttributeError, TypeError):  # read-only
            object.__setattr__(raised, name, value)  # its class may be frozen


def _remade(
    original: type[Exception], args: tuple[object, ...], state: dict[str, object]
) -> ExecutionError:
    error = _error_class(original)
    raised = error.__new__(error, *args)
    _restore(raised, state)
    return raised


@functools.lru_cache(maxsize=256)
def _error_class(original: type[Exception]) -> type[ExecutionError]:
    if issubclass(original, ExecutionError):
        return original
    name = f"ExecutionError[{original.__name__}]"
    ours = {"node": None, "original": None}  # before properties of that name
    return cast("type[ExecutionError]", type(name, (ExecutionError, original), ours))
