"""The corpus and its words.

A word is a longest run of ASCII letters, digits, underscores and bytes above 0x7f, so that text in UTF-8 keeps its
words without being decoded. A run of more than WORD_BYTES_MAX bytes counts as several words, cut from the left.

Files are taken in the order of their names and dealt round like cards, so every worker finds its share by itself.
"""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dsm.errors import InvalidArgument

WORD_BYTES_MAX = 56  # with its count a word fills a cache line of 64 bytes

_WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]{1,%d}" % WORD_BYTES_MAX)
_NOT_STANDARD = frozenset(
    {"site-packages", "dist-packages"}
)  # what was installed into the standard library's directory


def split(text: bytes) -> list[bytes]:
    """Return the words of a text, in order."""
    return _WORD.findall(text)


def count(files: Iterable[Path]) -> Counter[bytes]:
    """Return how often each word is in the files."""
    counts: Counter[bytes] = Counter()
    for file in files:
        counts.update(split(file.read_bytes()))
    return counts


def corpus(directory: Path | None = None) -> list[Path]:
    """Return all files below a directory, sorted; by default the Python files of the standard library.

    Raises:
        InvalidArgument: there are none.
    """
    files = _standard_library() if directory is None else [path for path in directory.rglob("*") if path.is_file()]
    if not files:
        raise InvalidArgument(f"there are no files in {directory}", remedy="Name a directory of text with --input")
    return sorted(files)


def share(files: list[Path], worker: int, workers: int) -> list[Path]:
    """Return the files that a worker (1 to `workers`) reads."""
    return files[worker - 1 :: workers]


def _standard_library() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    return [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in _NOT_STANDARD]
