"""A recorder writes at the end of each turn of the loop, and never ends what it records."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from dsm.core.types import RegionId
from dsm.errors import InvalidArgument
from dsm.limits import TRACE_BUFFER_BYTES
from dsm.trace.files import Recorder, recording, traces
from dsm.trace.records import DIRECTORY, NODE, Began, Ended, Record, Refused, RegionEnded, read

GONE = RegionEnded(RegionId(1))


def found(directory: Path) -> dict[str, list[Record]]:
    return {name: list(records) for name, records in traces(str(directory))}


async def test_the_records_of_a_turn_are_written_at_its_end_and_at_once(tmp_path: Path) -> None:
    with recording(str(tmp_path / "new"), NODE, "a", "1.0") as recorder:
        assert recorder is not None
        recorder.note(GONE)
        assert found(tmp_path / "new") == {"node-a-1.trace": []}
        await asyncio.sleep(0)
        assert found(tmp_path / "new")["node-a-1.trace"][1:] == [GONE]
    assert found(tmp_path / "new")["node-a-1.trace"][1:] == [GONE, Ended()]


async def test_records_are_written_before_whoever_is_woken_after_them_goes_on(tmp_path: Path) -> None:
    with recording(str(tmp_path), NODE, "a", "1.0") as recorder:
        assert recorder is not None
        await asyncio.sleep(0)
        recorder.note(GONE)
        woken = asyncio.Event()
        asyncio.get_running_loop().call_soon(woken.set)
        await woken.wait()
        assert GONE in found(tmp_path)["node-a-1.trace"]


async def test_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        with recording(str(tmp_path), DIRECTORY, DIRECTORY, "1.0"):
            pass
    with recording(str(tmp_path), NODE, "rack 1/../a", "1.0"):
        pass
    files = found(tmp_path)
    assert list(files) == ["directory-1.trace", "directory-2.trace", "node-rack_1_.._a-1.trace"]
    assert all(isinstance(records[0], Began) for records in files.values())
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o600 for name in files)


async def test_nothing_is_recorded_unless_wanted() -> None:
    with recording(None, NODE, "a", "1.0") as recorder:
        assert recorder is None


async def test_a_turn_with_very_much_in_it_does_not_stay_in_memory() -> None:
    file = io.BytesIO()
    recorder = Recorder(file, NODE, "a", "1.0")
    long = Refused(RegionId(1), 0, "x" * (TRACE_BUFFER_BYTES // 2))
    for _ in range(5):
        recorder.note(long)
    assert file.tell() > TRACE_BUFFER_BYTES
    recorder.close()
    assert list(read(io.BytesIO(file.getvalue())))[1:] == [*[long] * 5, Ended()]


@pytest.fixture
def full() -> Iterator[FileIO]:
    """A file on a disk without room."""
    with open("/dev/full", "wb", buffering=0) as file:
        yield file


async def test_a_disk_that_is_full_ends_the_recording_only(full: FileIO, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(full, NODE, "a", "1.0")
    await asyncio.sleep(0)
    recorder.note(GONE)
    recorder.close()
    assert caplog.text.count("nothing is recorded from here on") == 1


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InvalidArgument, match=r"file/below: Not a directory"),
        recording(str(tmp_path / "file" / "below"), NODE, "a", "1.0"),
    ):
        pass


def test_a_file_that_is_no_trace_is_named(tmp_path: Path) -> None:
    (tmp_path / "node-b-1.trace").write_bytes(b"something else")
    with pytest.raises(InvalidArgument, match=r"node-b-1\.trace: "):
        found(tmp_path)
