"""Put the commands on an application."""

import typer

from streamforge_local.commands.doctor import doctor
from streamforge_local.commands.keys import keys
from streamforge_local.commands.listing import ls, show
from streamforge_local.commands.logs import logs
from streamforge_local.commands.quality import quality
from streamforge_local.commands.removing import rm
from streamforge_local.commands.running import run
from streamforge_local.commands.steering import HELP, steering_command
from streamforge_local.commands.watching import watch


def register_commands(app: typer.Typer) -> None:
    """Add every command that talks to a platform, in the order in which `--help` shows them."""
    app.command("run")(run)
    app.command("ls")(ls)
    app.command("show")(show)
    app.command("watch")(watch)
    for wish, text in HELP.items():
        app.command(wish, help=text)(steering_command(wish))
    app.command("logs")(logs)
    app.command("quality")(quality)
    app.command("rm")(rm)
    app.add_typer(keys, name="keys")
    app.command("doctor")(doctor)
