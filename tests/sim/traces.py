"""What the daemons of a run have recorded, in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator

from dsm.trace.files import Recorder
from dsm.trace.records import Record, read


class Traces:
    def __init__(self) -> None:
        self._files: dict[str, tuple[io.BytesIO, Recorder]] = {}

    def recorder(self, kind: str, name: str) -> Recorder:
        file = io.BytesIO()
        recorder = Recorder(file, kind, name, "simulated")
        self._files[name] = file, recorder
        return recorder

    def records(self) -> Iterator[tuple[str, Iterator[Record]]]:
        """As `dsm.trace.files.traces` yields them, when the run is over. Nothing is missing in any."""
        for name, (file, recorder) in self._files.items():
            recorder.close()
            file.seek(0)
            yield name, read(file)
