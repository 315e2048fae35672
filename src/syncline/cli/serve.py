"""`syncline serve`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: syncline serve --data /srv/syncline --listen 0.0.0.0:8484")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Where the server keeps everything; made if missing.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen (127.0.0.1:8484); port 0 picks a free one.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A TOML file: listen, public_url, tls_…, [objects]",
)
def serve(data: Path, listen: str | None, config: Path | None) -> None:
    """Run a server: the whole of it in this one process, on SQLite and the disk.

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

    try:
        settings = load(data, listen, config)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    # Whatever is written from here on is nobody else's to read.
    os.umask(0o077)
    to_stderr(settings.log_level, settings.log_format)
    uvloop.run(run(settings))
