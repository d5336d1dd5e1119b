"""The demo: clients of several nodes count the words of a corpus in one hash table that all of them share.

    words.py     the corpus, its words, and who reads which file
    table.py     the hash table: slots in pages, merging, looking up, comparing
    board.py     a little region in which the workers tell each other how far they are
    worker.py    what one client does, from its first file to its verdict
    picture.py   which node owns which page, drawn while it changes
    run.py       a cluster, one worker process for each of its nodes, and what came of it

Workers meet in shared memory only. So it makes no difference whether `run.py` starts them on this machine or somebody
starts them by hand, each on a host of its own, as docker-compose.yml does.
"""

from __future__ import annotations
