"""Every request of a run goes through here: sent, counted, and its answer held against the OpenAPI document by schemathesis."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ANSWER_S = 30.0
"""An answer that takes longer is a hang: no door waits so long for what a run asks for."""
FINDINGS_MAX = 200


@dataclass
class Tally:
    """What was sent to one operation, by what came back."""

    good: int = 0
    """2xx, and the redirects that some doors answer with."""
    refused: int = 0
    failed: int = 0


@dataclass
class Finding:
    """Something that was not as it should be, and how to see it again."""

    operation: str
    what: str
    how: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.what}\n    {self.how}"


@dataclass
class Sender:
    """`heard` is told of every answer: (operation, status, decoded JSON or None)."""

    base: str
    chance: random.Random
    tallies: dict[str, Tally] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: int = 0
    heard: Callable[[str, int, Any], None] = lambda *_: None
    _session: requests.Session = field(default_factory=requests.Session)

    def send(self, case: schemathesis.Case, headers: dict[str, str]) -> requests.Response | None:
        """The answer, or None where the request could not even be written down as HTTP, or hung."""
        label = case.operation.label
        self._session.cookies.clear()
        try:
            answer = case.call(
                self.base, self._session, headers=headers, timeout=ANSWER_S, allow_redirects=False, cookies=case.cookies or None
            )
        except requests.Timeout:
            self.sent += 1
            self.found(label, "no answer", f"{case.method} {case.formatted_path} {_short(case.body)}")
            return None
        except requests.ConnectionError as error:
            self.sent += 1
            self.found(label, "connection broken", f"{case.method} {case.formatted_path} {error}")
            return None
        except (UnicodeError, requests.RequestException, ValueError):
            return None
        self.sent += 1
        tally = self.tallies.setdefault(label, Tally())
        if answer.status_code < 400:
            tally.good += 1
        elif answer.status_code < 500:
            tally.refused += 1
        else:
            tally.failed += 1
        self._check(label, case, answer)
        self.heard(label, answer.status_code, _json(answer))
        return answer

    def _check(self, label: str, case: schemathesis.Case, answer: Any) -> None:
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for one in group.exceptions:
                message = " ".join(f"{getattr(one, 'title', type(one).__name__)}: {getattr(one, 'message', one)}".split())
                body = answer.content[:400].decode(errors="replace")
                how = f"{case.method} {str(answer.request.url)[:300]} {_short(case.body)} → {answer.status_code} {body}"
                self.found(label, message[:300], how)

    def found(self, label: str, what: str, how: str) -> None:
        kind = (label, what[:100])
        self.kinds[kind] += 1
        if self.kinds[kind] == 1 and len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(label, what, how))
            print(self.findings[-1], file=sys.stderr, flush=True)


def _json(answer: Any) -> Any:
    if "json" not in str(answer.headers.get("content-type", "")):
        return None
    try:
        return answer.json()
    except ValueError:
        return None


def _short(body: Any) -> str:
    return "" if isinstance(body, NotSet) else repr(body)[:600]
