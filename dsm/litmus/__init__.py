"""Litmus tests: tiny programs whose every outcome is known to be allowed or forbidden, run thousands of times.

    shapes.py      programs, made from critical cycles
    outcomes.py    what a machine may do with a program, by trying everything
    cells.py       which shapes run where: words on one page or several, workers on one node or several, plain or scoped
    thread.py      the process that is one thread of a program, on one node
    crew.py        all these processes, and one cell run by them
    verdict.py     what came of a cell: no forbidden outcome, and every allowed one often enough, or a reason

Between hosts memory is sequentially consistent; on one host it is what the processor makes it (x86-TSO). A test in
which an allowed outcome hardly came has not had the power to see a forbidden one either, so that counts as failed.
"""
