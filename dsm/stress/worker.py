"""One client process of a stress run: goes through the rounds with the others, and hands over what it recorded.

    worker 1        make the round's region
    every worker    open it; when all have, act for the round's time; put what was recorded into a region of its own
    worker 1        when all have, fetch what they recorded, and judge it
    every worker    when that is done, go on, or stop at a violation

The board has a row for each worker with how far it is, and how long its recording is, with a checksum: a recording that
comes to worker 1 damaged is a violation like any other.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from dsm import board
from dsm.errors import DsmError
from dsm.limits import TRANSFER_CHUNK_BYTES
from dsm.stress import torn
from dsm.stress.judge import Judgement, Report, judge_histories, judge_torn
from dsm.stress.mix import Mix
from dsm.stress.plan import Round, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsm.client.sync import Client, Region

_STAGES = ("made the region", "opened the region", "ended", "heard the verdict")
_MADE, _OPENED, _ACTED, _JUDGED = range(1, 5)
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Board(board.Board):
    """How far each worker is, and the length and checksum of its recording; `stop` is worker 1's to set."""

    ROW = np.dtype([("stage", "<u4"), ("failed", "<u4"), ("stop", "<u4"), ("checksum", "<u4"), ("bytes", "<u8")])
    PROGRAM = "a stress run"

    def undone(self, stage: int) -> str:
        number, step = divmod(stage - 1, len(_STAGES))
        return f"{_STAGES[step]} in round {number + 1}"


class Worker:
    """One worker, on the node that its client is connected to."""

    def __init__(self, client: Client, run: Run) -> None:
        self._client = client
        self._run = run
        self._deadline = time.monotonic() + run.timeout
        self._host = int(client.status()["node_id"])
        self._report = Report(run)

    def run(self) -> Report:
        """Do everything. Only worker 1's report says anything about the others.

        Raises:
            DeadlineExceeded, Unavailable: another worker was late, or has failed.
        """
        run = self._run
        if run.worker == 1:
            board = Board.create(self._client, run.name, run.workers)
        else:
            board = Board.open(self._client, run.name, run.workers, self._deadline)
        try:
            for plan in run.rounds:
                if self._round(board, plan):
                    break
        except BaseException:
            with contextlib.suppress(DsmError):
                board.post(run.worker, failed=1)
            raise
        return self._report

    def _round(self, board: Board, plan: Round) -> bool:
        """Go through one round; return whether it was the last."""
        run = self._run
        base = (plan.number - 1) * len(_STAGES)
        region = self._open_region(board, plan, base)
        board.post(run.worker, stage=base + _OPENED)
        board.wait(base + _OPENED, self._deadline)
        workload = self._workload(region, plan)
        workload.act()
        with self._published(board, plan, workload.result(), base):
            rows = board.wait(base + _ACTED, self._deadline)
            if run.worker == 1:
                self._judge(board, plan, rows, base)
            rows = board.wait(base + _JUDGED, self._deadline, only_first=True)
        board.post(run.worker, stage=base + _JUDGED)
        if run.worker == 1:
            board.wait(base + _JUDGED, self._deadline)
            self._client.unlink(self._region_name(plan))
        return bool(rows["stop"][0])

    def _region_name(self, plan: Round) -> str:
        return f"{self._run.name}-{plan.number}"

    def _open_region(self, board: Board, plan: Round, base: int) -> Region:
        name = self._region_name(plan)
        if self._run.worker == 1:
            region = self._client.create(name, plan.bytes, page_size=plan.page_size, hold=plan.hold, lifetime="creator")
            board.post(1, stage=base + _MADE)
            return region
        board.wait(base + _MADE, self._deadline, only_first=True)
        return self._client.open(name)

    def _workload(self, region: Region, plan: Round) -> Mix | torn.Torn:
        run = self._run
        if run.torn:
            return torn.Torn(self._client, region, plan, run.worker, run.seed)
        return Mix(self._client, region, plan, run.worker, self._host, run.seed)

    # --- What was recorded ----------------------------------------------------------------------------------------

    @contextmanager
    def _published(self, board: Board, plan: Round, result: dict[str, Any], base: int) -> Iterator[None]:
        """Offer what was recorded to worker 1, for as long as the block takes."""
        about = {"node": self._client.node, "access": self._client.access, "boot": _BOOT.read_text().strip()}
        data: bytes = msgpack.packb(about | result)
        worker = self._run.worker
        with self._client.create(self._recording(plan, worker), len(data), lifetime="creator") as region:
            for start in range(0, len(data), TRANSFER_CHUNK_BYTES):
                chunk = data[start : start + TRANSFER_CHUNK_BYTES]
                with region.write(start, len(chunk)) as view:
                    view[:] = chunk
            board.post(worker, stage=base + _ACTED, bytes=len(data), checksum=zlib.crc32(data))
            yield
            region.unlink()

    def _recording(self, plan: Round, worker: int) -> str:
        return f"{self._region_name(plan)}-{worker}"

    def _judge(self, board: Board, plan: Round, rows: NDArray[np.void], base: int) -> None:
        recordings, damaged = [], []
        for worker, row in enumerate(rows, start=1):
            data = self._fetch(self._recording(plan, worker))
            if (len(data), zlib.crc32(data)) == (row["bytes"], row["checksum"]):
                recordings.append(msgpack.unpackb(data, max_bin_len=len(data)))
            else:
                damaged.append(f"what worker {worker} recorded came to worker 1 damaged")
        self._report.add(plan, recordings, self._judgement(plan, recordings, damaged))
        board.post(1, stage=base + _JUDGED, stop=int(not self._report.well))

    def _judgement(self, plan: Round, recordings: list[dict[str, Any]], damaged: list[str]) -> Judgement:
        if damaged:
            return Judgement(violations=damaged)
        if self._run.torn:
            with self._client.open(self._region_name(plan)) as region:
                return judge_torn(recordings, torn.final_versions(region, plan.pages))
        return judge_histories(recordings)

    def _fetch(self, name: str) -> bytes:
        with self._client.open(name, mode="r") as region:
            parts = []
            for start in range(0, region.size, TRANSFER_CHUNK_BYTES):
                with region.read(start, min(TRANSFER_CHUNK_BYTES, region.size - start)) as view:
                    parts.append(bytes(view))
        return b"".join(parts)
