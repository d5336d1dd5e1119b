"""What the workers of the demo write on their board."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from dsm import board


class Stage(IntEnum):
    """What a worker has done."""

    BEGUN = 0
    COUNTED = 1
    OPENED = 2
    MERGED = 3
    COMPARED = 4


_UNDONE = {
    Stage.COUNTED: "counted its words",
    Stage.OPENED: "opened the table",
    Stage.MERGED: "merged its words",
    Stage.COMPARED: "compared the table",
}


class Board(board.Board):
    """How far each worker is, and how many words it has counted."""

    ROW = np.dtype([("stage", "<u4"), ("failed", "<u4"), ("words", "<u8"), ("distinct", "<u8")])
    PROGRAM = "a demo"

    def undone(self, stage: int) -> str:
        return _UNDONE[Stage(stage)]
