"""Every bound in one place, with the relations between them asserted.

Sizes are bytes, times are seconds, unless the name says otherwise. Source: `docs/protocol.md` §1.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

BLOCK_MIN_BYTES: Final = 128 * KIB
BLOCK_AVERAGE_BYTES: Final = 512 * KIB
BLOCK_MAX_BYTES: Final = 1 * MIB
LARGE_FILE_BYTES: Final = 4 * GIB
"""Files above this are cut with the `LARGE_BLOCK_*` sizes."""
LARGE_BLOCK_MIN_BYTES: Final = 512 * KIB
LARGE_BLOCK_AVERAGE_BYTES: Final = 2 * MIB
LARGE_BLOCK_MAX_BYTES: Final = 8 * MIB

PACK_MAX_BYTES: Final = 16 * MIB
PACK_BLOCKS_MAX: Final = 4096
FRAME_OVERHEAD_MAX_BYTES: Final = 256
"""What encoding may add to a block, and sealing to an index entry, at most."""

BATCH_MAX: Final = 1000
"""Entries in one request, and in one page of an answer."""
MANIFEST_BLOCKS_PAGE_MAX: Final = 20_000
"""Blocks in one answer to `POST /v1/manifests`."""
COMMIT_NODES_MAX: Final = 100_000
"""Nodes one commit may touch once the server has expanded recursive changes."""
REVISION_BLOCKS_MAX: Final = 1_000_000

BODY_MAX_BYTES: Final = 32 * MIB
"""A JSON body, after decompression."""

NAME_MAX_BYTES: Final = 255
DEPTH_MAX: Final = 256
DESCRIPTION_MAX_BYTES: Final = 4 * KIB
FILE_MAX_BYTES: Final = 1 << 40

GRANT_TTL_S: Final = 15 * 60
ACCESS_TOKEN_TTL_S: Final = 15 * 60
IDEMPOTENCY_TTL_S: Final = 30 * 24 * 3600
JOURNAL_RETENTION_S: Final = 180 * 24 * 3600
TRASH_RETENTION_S: Final = 30 * 24 * 3600

UPLOAD_PART_MIN_BYTES: Final = 8 * MIB
UPLOAD_PART_MAX_BYTES: Final = 4 * GIB
BUCKETS_MAX: Final = 21
"""Of an object store on S3: the first, and one for each mark of a key."""
UPLOAD_PARTS_MAX: Final = 10_000
UPLOAD_PARTS_WINDOW: Final = 100
"""Part URLs in one answer."""
RAW_KEPT_S: Final = GRANT_TTL_S + 3600
"""A raw object is kept for so long after its content was cut: URLs for it may still hold, and transfers be under way."""
UPLOAD_TTL_S: Final = 7 * 24 * 3600
"""An open upload that nothing was heard of for so long is given up."""

LINKS_PER_PERSON_MAX: Final = 10_000
LINK_PASS_TTL_S: Final = 3600
"""For so long a link's password need not be given again, nor a download that was begun counted again, in one browser."""
LINK_PAGE: Final = 200
"""Entries on one page of a linked folder."""
LINK_ZIP_FILES_MAX: Final = 10_000
LINK_ZIPS_AT_ONCE: Final = 8
DROP_FILE_MAX_BYTES: Final = 64 * GIB
DROP_FILES_MAX: Final = 1_000
"""Files in one form."""
DROP_BATCH_MAX: Final = 100
"""Uploads in parts that one request begins."""
DROPS_AT_ONCE: Final = 8
"""Files taken in at the same time: each holds a pack and a cutter's buffer in memory."""

POLL_TIMEOUT_MIN_S: Final = 30
POLL_TIMEOUT_MAX_S: Final = 480
POLL_CURSORS_MAX: Final = 1000
CLIENT_POLL_MIN_S: Final = 60
CLIENT_POLL_MAX_S: Final = 120
HEAD_CHECK_MAX_S: Final = 180.0
"""A device that has not heard of the server's heads for so long, though no line is lost, claims nothing and looks."""
FULL_SCAN_INTERVAL_S: Final = 10 * 60
AUDIT_INTERVAL_S: Final = 24 * 3600
"""So often the Merkle sums are taken anew from the whole trees."""
AUDIT_AGAIN_S: Final = 5 * 60.0
"""The least time between two audits of roots that go on disagreeing; it doubles, up to the daily one."""
CLOCK_JUMP_S: Final = 10.0
"""Wall clock and monotonic clock apart by more since the last look: the clock was set, or the machine slept."""

QUIET_WINDOW_S: Final = 1.0
"""A file without a seen close is left alone until nothing has written to it for so long."""
CLOSED_QUIET_S: Final = 0.05
"""The same after a close that left no writer behind."""
QUIET_CAP_S: Final = 60.0
"""A file written to without pause is tried all the same after so long."""
RACY_WINDOW_NS: Final = 2_000_000_000
"""A signature no older than this when it was taken is not trusted at the next scan."""

LIMBO_S: Final = 0.2
"""What vanished from its folder may turn up in another for so long before it counts as deleted."""
DIRTY_FOLDERS_MAX: Final = 10_000
"""Folders marked at once; more, and a full scan is cheaper."""
DIRTY_NAMES_MAX: Final = 1_000
"""Entries marked in one folder; more, and it is listed whole."""
SCAN_PROBLEMS_MAX: Final = 100
SCAN_HASH_BYTES: Final = 256 * MIB
"""What one scan may read to recognise moved files by their content."""
IGNORE_FILE_MAX_BYTES: Final = 1 * MIB
IGNORE_PATTERNS_MAX: Final = 2_000
IGNORE_PATTERN_MAX_CHARS: Final = 1_000

DELETE_GUARD_FILES: Final = 50
DELETE_GUARD_SHARE: Final = 0.25
DELETE_GUARD_ALL: Final = 10
"""A folder that had at least so many files and holds nothing any more asks, however small it was."""
DELETE_GUARD_WINDOW_S: Final = 10 * 60

PACKS_IN_FLIGHT: Final = 4
"""Finished packs in the spool at any time: what a kill can make a device send again."""
REQUEST_TIMEOUT_S: Final = 60.0
TRANSFER_STALL_S: Final = 60.0
RETRY_ATTEMPTS: Final = 5
PARK_AFTER_FAILURES: Final = 3
PARK_RETRY_S: Final = 60.0

PLAN_ROUNDS_MAX: Final = 200

CONFLICTS_MAX: Final = 10_000
"""Open conflicts a device remembers; copies beyond are found by their names."""
MERGE_MAX_BYTES: Final = 1 * MIB
"""A text of which both sides' changes are merged."""
MERGE_WORK_MAX: Final = 2_000_000
"""Lines compared to find out how two texts differ."""
MERGES_A_ROUND: Final = 16
"""Files merged in one round of the engine, whose control task waits for them."""

SOCKET_PATH_MAX_BYTES: Final = 100
"""Below `sun_path` of every system we run on (Linux 108, macOS 104)."""
CONTROL_REQUEST_MAX_BYTES: Final = 64 * KIB
CONTROL_ANSWER_MAX_BYTES: Final = 16 * MIB
CONTROL_CLIENTS_MAX: Final = 32
PLAN_SHOWN_MAX: Final = 10_000
"""Steps and log lines in one answer of the control socket."""
VERIFY_FINDINGS_MAX: Final = 2_000
VERIFY_PENDING_MAX: Final = 1_000
VERIFY_PATHS_MAX: Final = 100

assert BLOCK_MIN_BYTES < BLOCK_AVERAGE_BYTES < BLOCK_MAX_BYTES < LARGE_BLOCK_MAX_BYTES < PACK_MAX_BYTES
assert LARGE_BLOCK_MIN_BYTES < LARGE_BLOCK_AVERAGE_BYTES < LARGE_BLOCK_MAX_BYTES
assert BATCH_MAX <= PACK_BLOCKS_MAX < COMMIT_NODES_MAX
assert UPLOAD_PART_MIN_BYTES * UPLOAD_PARTS_MAX < FILE_MAX_BYTES < UPLOAD_PART_MAX_BYTES * UPLOAD_PARTS_MAX
assert UPLOAD_PARTS_WINDOW <= BATCH_MAX <= UPLOAD_PARTS_MAX
assert GRANT_TTL_S < UPLOAD_TTL_S
assert IDEMPOTENCY_TTL_S <= JOURNAL_RETENTION_S
assert TRASH_RETENTION_S <= JOURNAL_RETENTION_S
assert CLOSED_QUIET_S < LIMBO_S < QUIET_WINDOW_S < QUIET_CAP_S
assert CLIENT_POLL_MAX_S < HEAD_CHECK_MAX_S < FULL_SCAN_INTERVAL_S < AUDIT_INTERVAL_S
assert MERGES_A_ROUND <= BATCH_MAX
