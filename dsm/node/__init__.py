"""The node daemon: holds a host's copies of pages, resolves the faults of its processes, and talks to other nodes.

    daemon      starts and stops everything below
    region      what the node knows of one region; steps `core.cache` and carries out its effects
    attachment  one process's mapping of one region: its faults, what is mapped there
    waiting     processes that are stopped at a page
    scopes      scoped accesses of this host's processes, page by page
    budget      the memory limit, and what is evicted to keep it
    session     the stream to the directory
    stream      page bytes to and from other nodes, over `link`; `fallback` is the same over gRPC
    local       the Unix socket to the host's processes; `requests` answers what they ask

All of it runs in one thread, on one event loop.
"""
