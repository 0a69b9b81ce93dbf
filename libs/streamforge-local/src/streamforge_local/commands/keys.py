"""`streamforge keys`: who may call queue-manager, and what each may do."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from streamforge_local.client.documents import ApiKey
from streamforge_local.commands import options
from streamforge_local.commands.connection import Connection
from streamforge_local.commands.failures import fails_readably
from streamforge_local.commands.output import age, plain_table, screen, write_json

keys = typer.Typer(help="Make, list and revoke API keys; needs the key of an admin once there is one.")


class Role(StrEnum):
    """What the holder of a key may do; each may what those before may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@keys.command()
@fails_readably
def create(
    role: Annotated[Role, typer.Option(help="viewer reads, operator steers workflows too, admin makes keys too.")],
    name: Annotated[str, typer.Option(help="What people call it, e.g. whose it is.")] = "",
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Make a key and print it, this once: it is kept as a hash only.

    With --json: the key's document, with the key itself as `key`.
    """
    with Connection(url, home).open() as manager:
        made = manager.create_key(role, name)
    if as_json:
        write_json(made.raw)
        return
    # The key alone on stdout: `export STREAMFORGE_API_KEY=$(streamforge keys create --role admin)`.
    typer.echo(f"{made.id}: a key with the role {made.role}, shown only now", err=True)
    typer.echo(made.key)


@keys.command()
@fails_readably
def ls(
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """List the keys, also revoked ones, oldest first.

    With --json: one key per line.
    """
    with Connection(url, home).open() as manager:
        listed = manager.keys()
    if as_json:
        for key in listed:
            write_json(key.raw)
    elif not listed:
        typer.echo("no keys: whoever is on this machine may do everything", err=True)
    else:
        _print_keys(screen(), listed)


@keys.command()
@fails_readably
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `streamforge keys ls` shows it.")],
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Revoke a key.

    With --json: {"id", "revoked": true}.
    """
    with Connection(url, home).open() as manager:
        manager.revoke_key(key_id)
    if as_json:
        write_json({"id": key_id, "revoked": True})
    else:
        screen().print(f"{key_id} is revoked")


def _print_keys(console: Console, listed: list[ApiKey]) -> None:
    table = plain_table("KEY_ID", "ROLE", "NAME", ">AGE", ">LAST USED", "STATE")
    for key in listed:
        used = "never" if key.last_used_at is None else f"{age(key.last_used_at)} ago"
        state = "valid" if key.revoked_at is None else f"revoked {age(key.revoked_at)} ago"
        table.add_row(key.id, key.role, key.name, age(key.created_at), used, state)
    console.print(table)
