"""The protocol itself: pure functions over immutable records, with no I/O, no clock and no randomness.

Read `messages`, then `home` (the directory's half) and `cache` (a node's half). `invariants` says what must always
hold.
"""
