"""Coherence under stress: `dsm stress` runs clients on all nodes against each other and checks what they saw.

    plan.py      what a round is like, drawn from the seed: page size, hold time, number of pages
    mix.py       the workload that records a history: loads, stores, scopes, counters, prefetch, detach and attach
    torn.py      the workload that stamps whole pages, and looks for bytes of two versions in one
    worker.py    one client process: goes through the rounds, hands over what it recorded
    judge.py     gives the recordings of a round to the checkers of `dsm.verify`, and sums up
    run.py       starts worker processes on this machine

Workers meet in shared memory only, as those of the demo do, so they may run on one machine or in the containers of
several. What they recorded travels through shared memory too, with a checksum. Worker 1 judges.
"""
