"""The options and arguments that several commands have, each written down once."""

from pathlib import Path
from typing import Annotated

import typer

from streamforge_local.home import DEFAULT_HOME as DEFAULT_HOME

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="STREAMFORGE_URL", help="Address of queue-manager; else the platform on --home."),
]
Home = Annotated[Path, typer.Option("--home", metavar="DIR", help="Home folder of the platform to talk to.")]
OwnHome = Annotated[
    Path, typer.Option("--home", metavar="DIR", help="Folder of the platform's data, logs and platform.json.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
QueueId = Annotated[
    str,
    typer.Argument(metavar="QUEUE_ID", help="A workflow: its queue_id, the last six digits of it, or 'last'."),
]
