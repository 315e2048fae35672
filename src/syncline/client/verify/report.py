"""What `syncline verify` tells: a line a hop, findings, and what is merely still to be done; the nouns of `verify --json`."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from syncline.model.entries import SyncedNode
from syncline.model.ids import NamespaceId, NodeId
from syncline.model.limits import VERIFY_FINDINGS_MAX, VERIFY_PENDING_MAX


class Finding(Struct, frozen=True, kw_only=True):
    """Something that is not as it must be: a stable code (`docs/status-and-problems.md`), the path in the folder ("" for the whole
    device), what is wrong, and what to do."""

    code: str
    path: str
    message: str
    advice: str = ""


class Pending(Struct, frozen=True, kw_only=True):
    """Work that is left, no damage: what changed since the device last looked, and nodes that differ between its trees."""

    code: str
    path: str
    message: str


class Hop(Struct, frozen=True, kw_only=True):
    """`verdict` ∈ ok · wrong · unreachable · skipped; `compared` says what was, or why it could not be."""

    hop: str
    verdict: str
    compared: str
    findings: int = 0


class Report(Struct, kw_only=True):
    """`findings` and `pending` are bounded lists; the totals count all. `lost` is the code of the error that kept the server out of
    reach. `healing` says that a running engine looks at what was found anew."""

    deep: bool
    hops: list[Hop] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0
    pending: list[Pending] = field(default_factory=list)
    pending_total: int = 0
    lost: str | None = None
    healing: bool = False


class Progress(Struct, frozen=True, gc=False):
    """How far the reading of files is."""

    files: int = 0
    files_total: int = 0
    bytes: int = 0
    bytes_total: int = 0


Show = Callable[[Progress], None]


class Notebook:
    """Gathers a report, hop by hop, and which nodes and namespaces it concerns."""

    def __init__(self, *, deep: bool) -> None:
        self.report = Report(deep=deep)
        self.nodes: set[NodeId] = set()
        """Nodes a finding concerns: what the planner should look at again."""
        self.namespaces: set[NamespaceId] = set()
        """Namespaces whose remote tree is not the server's: to be observed anew."""
        self.lost: list[SyncedNode] = []
        """What is on the disk as it was in sync, and the local tree lost."""
        self._before = 0

    def found(self, code: str, path: str, message: str, advice: str = "", *, node: NodeId | None = None) -> None:
        report = self.report
        report.findings_total += 1
        if node is not None:
            self.nodes.add(node)
        if len(report.findings) < VERIFY_FINDINGS_MAX:
            report.findings.append(Finding(code=code, path=path, message=message, advice=advice))

    def left(self, code: str, path: str, message: str) -> None:
        report = self.report
        report.pending_total += 1
        if len(report.pending) < VERIFY_PENDING_MAX:
            report.pending.append(Pending(code=code, path=path, message=message))

    def hop(self, name: str, compared: str, *, verdict: str | None = None) -> None:
        """Ends a hop: what was found since the last one is its own."""
        count = self.report.findings_total - self._before
        self._before = self.report.findings_total
        said = verdict or ("wrong" if count else "ok")
        self.report.hops.append(Hop(hop=name, verdict=said, compared=compared, findings=count))
