"""A server's log: one line an event on stderr. stdout belongs to the ready line.

What may be logged is the business of whoever logs: ids, codes, counts and kinds; never names, tokens, messages of the database or
signatures of URLs. A line that is written while a request is served bears its id, and the id of the device that asked. As a last
line of defence, what looks like a token or a signature does not leave here, whoever let it through.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET: Final = re.compile(
    r"(?i)\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"  # a JSON web token
    r"|(?<=bearer )[\w.~+/=-]{8,}"
    r"|(?<=[?&])(?:signature|x-amz-[a-z-]+|awsaccesskeyid|token|key-pair-id|policy)=[^&\s\"']+"
    r"|(?<=://)[^/\s@\"']+(?=@)"  # user and password in a URL
)
HIDDEN: Final = "[hidden]"


def to_stderr(level: str, form: Literal["auto", "json", "text"] = "auto") -> None:
    """Sends structlog's events of `level` and above to stderr, and the warnings of libraries too. `auto` is text for people on a
    terminal, JSON otherwise."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_secrets,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if text else _JsonLines())
    logging.basicConfig(handlers=[libraries], level=logging.WARNING)
    # A connection cut in mid-answer reaches uvicorn as an error with a traceback; it is no defect.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """structlog's processor: texts without what looks like a token, a signature or a password."""
    for name, value in event.items():
        if isinstance(value, str) and _SECRET.search(value):
            event[name] = _SECRET.sub(HIDDEN, value)
    return event


class _JsonLines(logging.Formatter):
    """What a library says, as a line like ours: its words, where they end, and the kind of error; never a traceback's values."""

    def __init__(self) -> None:
        super().__init__()
        self._render = structlog.processors.JSONRenderer()

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info and record.exc_info[0] is not None:
            event["kind"] = record.exc_info[0].__name__
        line = self._render(None, "", dict(without_secrets(None, "", event)))
        return line if isinstance(line, str) else line.decode()
