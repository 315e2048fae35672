"""Compression: zstd where it pays, nothing where the bytes are dense already.

Between cutting and sealing. A large block is probed first: a few evenly spread samples are compressed, and if they hardly shrink
the block is stored as it is, because most bytes of a person's files are photos, films and archives. Decoding is capped at the plain
size the manifest declares, so neither a bomb nor a huge window costs more than that.
"""

from __future__ import annotations

import sys
import threading
from typing import Final

from syncline.content.digest import Buffer
from syncline.model.blocks import Codec
from syncline.model.errors import CorruptBlock
from syncline.model.limits import KIB

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_LEVEL: Final = 1
"""Speed: level 3 is a quarter slower for a tenth of the ratio (`bench/content.py`)."""
ZSTD_WINDOW_LOG_MAX: Final = 23
"""8 MiB, the largest block: no frame of ours needs a larger window, and a hostile one gets none."""

PROBE_ABOVE_BYTES: Final = 64 * KIB
PROBE_SAMPLES: Final = 8
PROBE_SAMPLE_BYTES: Final = 4 * KIB
SMALLEST_BYTES: Final = 64
"""Below this nothing shrinks enough to matter."""
_PAYS_FRACTION: Final = 16
"""Compression pays if it saves at least one part in so many."""

_MEDIA: Final = (
    "jpg jpeg jpe jfif png gif webp heic heif avif jxl jp2 mp4 m4v mkv webm mov avi wmv mpg mpeg mts m2ts 3gp "
    "mp3 m4a m4b aac ogg oga ogv opus flac wma ape"
)
_ARCHIVES: Final = (
    "zip zipx gz tgz bz2 tbz tbz2 xz txz lzma zst tzst lz4 br 7z rar cab jar war apk aab ipa whl egg nupkg deb rpm crx xpi vsix "
    "docx xlsx pptx docm xlsm pptm odt ods odp odg epub cbz cbr 3mf kmz sketch woff woff2"
)
_ENCRYPTED: Final = "gpg pgp age kdbx"
DENSE_EXTENSIONS: Final = frozenset(f"{_MEDIA} {_ARCHIVES} {_ENCRYPTED}".split())

_FLUSH_FRAME: Final = zstd.ZstdCompressor.FLUSH_FRAME
_DECODER_OPTIONS: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}


class _PerThread(threading.local):
    """A compressor is costly to make and not to be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstd.ZstdCompressor(ZSTD_LEVEL)


_per_thread: Final = _PerThread()


def dense_name(file_name: str) -> bool:
    """Whether the extension says the bytes are compressed or encrypted already. A hint: a wrong one costs size, never bytes."""
    _, dot, extension = file_name.rpartition(".")
    return bool(dot) and extension.lower() in DENSE_EXTENSIONS


def encode(data: Buffer, dense: bool) -> tuple[Codec, bytes | memoryview]:
    """How to store `data`, and the bytes to store: compressed, or a view of `data` itself. `dense` skips trying."""
    if dense or len(data) < SMALLEST_BYTES or (len(data) > PROBE_ABOVE_BYTES and not _shrinks(_samples(data))):
        return Codec.RAW, memoryview(data)
    compressed = _compress(data)
    if _pays(len(data), len(compressed)):
        return Codec.ZSTD, compressed
    return Codec.RAW, memoryview(data)


def decode(codec: Codec, data: bytes, plain_size: int) -> bytes:
    """The plaintext of `plain_size` bytes; raises `CorruptBlock` if `data` holds more, fewer, or anything after them."""
    if codec is Codec.RAW:
        if len(data) != plain_size:
            raise CorruptBlock(reason=f"{len(data)} bytes where {plain_size} were declared")
        return data
    try:
        declared = zstd.get_frame_info(data).decompressed_size
        if declared is not None and declared != plain_size:
            raise CorruptBlock(reason=f"holds {declared} bytes where {plain_size} were declared")
        decoder = zstd.ZstdDecompressor(options=_DECODER_OPTIONS)
        # One byte more than declared: an overrun shows as a longer result, and the end of the frame is always reached.
        plain = decoder.decompress(data, plain_size + 1)
    except zstd.ZstdError as error:
        raise CorruptBlock(reason="cannot be decompressed") from error
    if len(plain) > plain_size:
        raise CorruptBlock(reason=f"holds more than the {plain_size} bytes declared")
    if not decoder.eof or len(plain) < plain_size:
        raise CorruptBlock(reason=f"ends short of the {plain_size} bytes declared")
    if decoder.unused_data:
        raise CorruptBlock(reason="has bytes after its end")
    return plain


def _compress(data: Buffer) -> bytes:
    return _per_thread.compressor.compress(data, _FLUSH_FRAME)


def _shrinks(sample: bytes) -> bool:
    return _pays(len(sample), len(_compress(sample)))


def _pays(plain_size: int, stored_size: int) -> bool:
    return stored_size <= plain_size - plain_size // _PAYS_FRACTION - 1


def _samples(data: Buffer) -> bytes:
    """Pieces from start to end, evenly spread, so that a dense head does not hide a text body, nor the other way round."""
    view = memoryview(data)
    step = (len(view) - PROBE_SAMPLE_BYTES) // (PROBE_SAMPLES - 1)
    return b"".join(view[index * step : index * step + PROBE_SAMPLE_BYTES] for index in range(PROBE_SAMPLES))


assert PROBE_SAMPLES * PROBE_SAMPLE_BYTES <= PROBE_ABOVE_BYTES
