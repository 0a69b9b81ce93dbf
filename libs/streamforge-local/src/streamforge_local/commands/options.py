"""The options and arguments that several commands have, each written down once."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_HOME = Path("~/.streamforge")
"""Where `streamforge up` keeps its data unless it is told otherwise."""

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="STREAMFORGE_URL", help="Address of queue-manager; else the platform on --home."),
]
Home = Annotated[Path, typer.Option("--home", metavar="DIR", help="Home folder of the platform to talk to.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
QueueId = Annotated[
    str,
    typer.Argument(metavar="QUEUE_ID", help="A workflow: its queue_id, the last six digits of it, or 'last'."),
]
