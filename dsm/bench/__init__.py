"""The benchmark: what each kind of fault costs, and how fast a large region is read, beside Redis in the same run.

    samples.py   durations and their quantiles
    partner.py   a process that works on pages when it is told to, on the same node or on another one
    peer.py      a Redis server of our own
    faults.py    the kinds of fault, each on pages that are in the state it needs
    scan.py      a large region read from another node, in three ways
    run.py       a cluster of two nodes, and all of it in one document

Everything is measured in the one thread of this process, by plain NumPy access: from the instruction that touches a
page until it goes on. After each fault follows one GET of as many bytes, so that a busy machine slows down both.
"""

from __future__ import annotations
