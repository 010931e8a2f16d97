"""The versions that the seams are known to fit."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("langchain-core", "langgraph", "langchain")


def installed() -> dict[str, str]:
    """The versions of what is installed of LangChain."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
