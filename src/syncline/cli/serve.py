"""`syncline serve`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: syncline serve --data /srv/syncline --listen 0.0.0.0:8484")
@click.option("--data", type=click.Path(path_type=Path), help="Where the server keeps everything; made if missing.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen (127.0.0.1:8484); port 0 picks a free one.")
@click.option(
    "--role",
    "roles",
    metavar="ROLES",
    multiple=True,
    help="What this process does, with commas: gateway, metadata, blocks, notify, worker, content. All of it without this.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A TOML file: listen, public_url, tls_…, [objects], [peers], [cluster]",
)
def serve(data: Path | None, listen: str | None, roles: tuple[str, ...], config: Path | None) -> None:
    """Run a server: the whole of it in this one process, on SQLite and the disk, or one role of it beside other processes.

    Every key of the file has a variable, too: SYNCLINE_SERVER_LISTEN, SYNCLINE_SERVER_OBJECTS_BUCKET. The environment is stronger
    than the file, and options are stronger than both. docs/operations/roles.md says more.

    Prints `listening on URL` when it is ready. SIGTERM or Ctrl-C lets requests under way end, then exits.
    """
    import os

    from syncline.app import memory

    memory.settle()
    memory.without_rich()
    import uvloop

    from syncline.app.config import load
    from syncline.app.logs import to_stderr
    from syncline.app.server import serve as run
    from syncline.model.errors import InvalidRequest

    named = [name.strip() for one in roles for name in one.split(",") if name.strip()]
    if roles and not named:
        raise click.UsageError("--role names no role.")
    try:
        settings = load(data, listen, config, roles=named, environment=os.environ)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    # Whatever is written from here on is nobody else's to read.
    os.umask(0o077)
    to_stderr(settings.log_level, settings.log_format)
    uvloop.run(run(settings))
