"""Whether a recorded history is one that coherent memory could have produced. Pure: no I/O, no processes.

    from dsm.verify import Recorder, Word, History, check_linearizable, check_sequential

    record = Recorder(process=1)                      # one for each thread that uses the memory
    record.write(Word(region, page, offset), value, invoked, returned)
    history = History.joined([record.history(), ...])
    print(check_linearizable(history, operations_min=1000))

`check_linearizable` judges each word by itself and needs one clock. `check_sequential` judges all words together
and needs none; it takes the order of a word's writes from their values or infers it, and knows the model of one
x86 host besides. Both answer with a `Verdict`, which is a failure also if time ran out or too little was checked.

`check_conformance` judges something else, what daemons have recorded of themselves: see `conformance`.

Read `history`, then `linearizable` and `sequential`, which name the modules behind them.
"""

from __future__ import annotations

from dsm.verify.conformance import Conformance, check_conformance
from dsm.verify.history import FOREVER, History, Kind, Operation, Recorder, Word
from dsm.verify.linearizable import check_linearizable
from dsm.verify.order import Model
from dsm.verify.sequential import Order, check_sequential
from dsm.verify.verdict import Outcome, Verdict

__all__ = [
    "FOREVER",
    "Conformance",
    "History",
    "Kind",
    "Model",
    "Operation",
    "Order",
    "Outcome",
    "Recorder",
    "Verdict",
    "Word",
    "check_conformance",
    "check_linearizable",
    "check_sequential",
]
