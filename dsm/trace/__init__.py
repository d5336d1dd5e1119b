"""What a daemon did, step by step, in a file: a debug option of `dsm directory` and `dsm node`.

    records.py   what is written: the steps of pages, and what they stand between; to msgpack and back
    files.py     who writes it, and how the files of a directory are read again

`dsm.verify.conformance` replays such traces against `dsm.core`, so that the daemons cannot drift from it.
"""
