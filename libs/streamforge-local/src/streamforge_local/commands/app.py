"""The command line as a whole."""

import typer

from streamforge_local.commands.registering import register_commands
from streamforge_local.commands.up import up

app = typer.Typer(
    name="streamforge",
    help="Market data you can trust: load it, store it, prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def streamforge() -> None:
    """Market data you can trust: load it, store it, prove it."""


app.command()(up)
register_commands(app)
