"""Words, files and shares of files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.demo import words
from dsm.errors import InvalidArgument

LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") | frozenset(range(0x80, 0x100))


def runs(text: bytes) -> list[bytes]:
    """The longest runs of letters, found byte by byte."""
    found = [bytearray()]
    for byte in text:
        if byte in LETTERS:
            found[-1].append(byte)
        else:
            found.append(bytearray())
    return [bytes(run) for run in found if run]


def test_words_end_at_everything_but_letters_digits_and_underscores() -> None:
    assert words.split(b"def a_b(x1, y):\n\treturn x1+y # it's") == [
        b"def", b"a_b", b"x1", b"y", b"return", b"x1", b"y", b"it", b"s",
    ]  # fmt: skip


def test_a_word_in_utf_8_stays_whole() -> None:
    assert words.split("Größe, naïve".encode()) == ["Größe".encode(), "naïve".encode()]


def test_a_run_that_is_too_long_is_cut_from_the_left() -> None:
    assert words.split(b"x" * 130) == [b"x" * 56, b"x" * 56, b"x" * 18]


@given(st.lists(st.sampled_from([b"a", b"Z9_", b"\xc3\xa9", b" ", b"\n", b"-", b"\x00", b"word" * 20])).map(b"".join))
def test_words_are_the_runs_in_pieces(text: bytes) -> None:
    pieces = [run[at : at + 56] for run in runs(text) for at in range(0, len(run), 56)]
    assert words.split(text) == pieces


def test_counting_files_one_by_one_is_counting_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one two")
    (tmp_path / "b").write_bytes(b"two three")
    assert words.count([tmp_path / "a", tmp_path / "b"]) == Counter({b"one": 1, b"two": 2, b"three": 1})


def test_the_corpus_is_every_file_below_the_directory(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.txt", "deep/c"):
        (tmp_path / name).touch()
    assert words.corpus(tmp_path) == [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "deep/c"]


def test_a_directory_without_files_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="there are no files"):
        words.corpus(tmp_path)


def test_the_default_corpus_is_the_standard_library_without_what_was_installed_into_it() -> None:
    files = words.corpus()
    assert any(file.name == "collections" or file.parent.name == "collections" for file in files)
    assert all(file.suffix == ".py" for file in files)
    assert not any("site-packages" in file.parts[:-1] for file in files if "test" not in file.parts)


@given(st.integers(0, 20), st.integers(1, 5))
def test_shares_are_the_whole_and_have_nothing_in_common(count: int, workers: int) -> None:
    files = [Path(f"{number:03}") for number in range(count)]
    shares = [words.share(files, worker, workers) for worker in range(1, workers + 1)]
    assert sorted(file for share in shares for file in share) == files
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
