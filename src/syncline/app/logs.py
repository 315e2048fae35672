"""A server's log: one line an event on stderr, for people on a terminal, JSON otherwise. stdout belongs to the ready line.

What may be logged is the business of whoever logs: ids, codes, counts and kinds; never names, tokens, messages of the database or
signatures of URLs.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def to_stderr(level: str) -> None:
    """Sends structlog's events of `level` and above to stderr, and the warnings of libraries too."""
    people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A connection cut in mid-answer reaches uvicorn as an error with a traceback; it is no defect.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
