"""A whole cluster on one machine: the directory and N node daemons, each a process, for development and tests.

    with dsm.LocalCluster(nodes=3) as cluster, cluster.connect(0) as client:
        region = client.create("grid", size="64MiB")

Needs neither root nor configuration: settings of the environment do not reach these daemons. It is the code
that runs a real cluster; only here all addresses are 127.0.0.1, ports are picked by the kernel, and the directory
forgets its regions when it ends.

    <run directory>    fresh, 0700; directory.log, node-0.log, node-0.sock, node-1.log, ...

Everything ends with this process, also if it is killed: the daemons hold the reading end of one pipe, their lifeline
(see `dsm.lifeline`), and each sweeps the run directory when it breaks. `stop` breaks it on purpose, so the regular end
and the crash go the same way. The daemons have sessions of their own: Ctrl-C on a terminal reaches this process only.

Caveats:
* A node daemon that ends takes its pages with it, and clients that still have regions of it attached must not touch
  them any more. Close clients before the cluster.
* A forked child can use `socket` and `connect`, but the daemons are its parent's: there `stop` does nothing.
"""

from __future__ import annotations

import operator
import os
import signal
import tempfile
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from dsm.child import Child
from dsm.errors import DirectoryUnavailable, InvalidArgument, NodeUnavailable
from dsm.lifeline import sweep
from dsm.limits import LOCAL_NODES_MAX, MEMORY_BYTES_DEFAULT_SHARE, START_SECONDS, STOP_SECONDS
from dsm.memory.machine import memory
from dsm.units import parse_size

if TYPE_CHECKING:
    from dsm.client.sync import Client

_JOIN_POLL_SECONDS = 0.01
_SOCKET_PATH_BYTES_MAX = 107  # sun_path of sockaddr_un, without its NUL


class LocalCluster:
    """A directory and `nodes` node daemons on this machine, between `start` and `stop`, or as a context manager.

    Args:
        nodes: how many to start with; `add_node` adds more.
        memory_limit: of each node, in bytes or as text like "2GiB"; by default they share what one node would take.
        listen: HOST:PORT of the directory; by default it can be reached from this machine only, at a free port.
        trace: a directory in which every daemon records its steps, for `dsm check --trace`.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        memory_limit: int | str | None = None,
        listen: str = "127.0.0.1:0",
        trace: str | os.PathLike[str] | None = None,
    ) -> None:
        self._lifeline: tuple[int, int] | None = None  # reading end, writing end
        self._count = _node_count(nodes)
        self._memory_limit = _share(self._count) if memory_limit is None else _limit(memory_limit)
        self._listen = listen
        self._trace = None if trace is None else os.path.abspath(trace)
        self._run_directory: Path | None = None
        self._directory: Child | None = None
        self._nodes: list[Child] = []
        self._parent = os.getpid()
        _clusters.add(self)

    # --- Start and stop ------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start everything and return when it serves. Once stopped, it can be started again, empty.

        Raises:
            Unavailable: a daemon did not start; its last words are in the text. Nothing is left running.
        """
        if self._run_directory is not None:
            return self
        self._run_directory = _make_run_directory()
        self._parent = os.getpid()
        try:
            self._lifeline = os.pipe()
            self._start_directory()
            self._start_nodes(self._count)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every daemon and remove every file. Does nothing the second time."""
        if self._run_directory is None or self._parent != os.getpid():
            return
        self._break_lifeline()
        children = [child for child in (*self._nodes, self._directory) if child is not None]
        for child in children:
            child.signal(signal.SIGTERM)  # for the case that somebody else holds a copy of the lifeline
        _reap(children)
        sweep(self._run_directory)  # a daemon that was killed left its files
        self._run_directory = self._directory = None
        self._nodes = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __del__(self) -> None:
        self._break_lifeline()  # dropped without stop(): the daemons end by themselves

    def __len__(self) -> int:
        """How many nodes there are, those that were stopped or killed included."""
        return len(self._nodes)

    # --- What there is -------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> tuple[Child, ...]:
        """The node daemons, by number."""
        return tuple(self._nodes)

    @property
    def directory(self) -> Child:
        """The directory service."""
        if self._directory is None:
            raise DirectoryUnavailable("the local cluster does not run", remedy="Call start(), or use it in a `with`")
        return self._directory

    @property
    def directory_address(self) -> str:
        """HOST:PORT where further nodes can join."""
        return str(self.directory.ready["address"])

    def socket(self, node: int) -> str:
        """The Unix socket of a node, for DSM_NODE or `dsm.connect`."""
        return str(self.run_directory / f"{self._node(node).name}.sock")

    def connect(self, node: int = 0, **options: Any) -> Client:
        """A client of a node; `options` are those of `dsm.connect`."""
        from dsm.client.sync import connect

        return connect(self.socket(node), **options)

    def logs(self, node: int | None = None) -> str:
        """What a node, or the directory for None, has logged."""
        return (self.directory if node is None else self._node(node)).log()

    # --- One node ------------------------------------------------------------------------------------------------

    def add_node(self) -> int:
        """Start one more node and return its number when it has joined."""
        self._start_nodes(1)
        return len(self._nodes) - 1

    def stop_node(self, node: int) -> None:
        """Ask a node to leave (SIGTERM) and wait until it has ended."""
        self._end(node, signal.SIGTERM)

    def kill_node(self, node: int) -> None:
        """End a node as a crash does (SIGKILL). Its socket stays behind, and refuses."""
        self._end(node, signal.SIGKILL)

    def restart_node(self, node: int) -> None:
        """Start a node that has ended again, under its name and socket; one that runs is asked to leave first."""
        self.stop_node(node)
        self._launch([self._node(node)])
        self._await_joined([node])

    # --- Within --------------------------------------------------------------------------------------------------

    @property
    def run_directory(self) -> Path:
        """Where sockets and logs are; private, and gone when the cluster has stopped."""
        if self._run_directory is None:
            raise NodeUnavailable("the local cluster does not run", remedy="Call start(), or use it in a `with`")
        return self._run_directory

    def _node(self, node: int) -> Child:
        run = self.run_directory
        if not 0 <= node < len(self._nodes):
            raise InvalidArgument(f"there is no node {node} among the {len(self._nodes)} in {run}")
        return self._nodes[node]

    def _start_directory(self) -> None:
        command = ["directory", "--listen", self._listen, "--store", ":memory:", *self._ties()]
        self._directory = Child("directory", command, self.run_directory / "directory.log", DirectoryUnavailable)
        self._launch([self._directory])

    def _start_nodes(self, count: int) -> None:
        first = len(self._nodes)
        added = [self._new_node(f"node-{number}") for number in range(first, first + count)]
        self._nodes += added
        try:
            self._launch(added)
            self._await_joined(range(first, first + count))
        except BaseException:
            for child in added:
                child.signal(signal.SIGKILL)
            _reap(added)
            del self._nodes[first:]
            raise

    def _new_node(self, name: str) -> Child:
        options = {
            "--name": name,
            "--directory": self.directory_address,
            "--socket": str(self.run_directory / f"{name}.sock"),
            "--listen": "127.0.0.1:0",
            "--memory-limit": str(self._memory_limit),
        }
        command = ["node", *(word for option in options.items() for word in option), *self._ties()]
        return Child(name, command, self.run_directory / f"{name}.log", NodeUnavailable)

    def _ties(self) -> list[str]:
        trace = [] if self._trace is None else ["--trace", self._trace]
        return [*trace, "--lifeline-fd", str(self._owned_lifeline()), "--run-directory", str(self.run_directory)]

    def _launch(self, children: list[Child]) -> None:
        lifeline = self._owned_lifeline()
        for child in children:
            child.launch(lifeline)
        deadline = time.monotonic() + START_SECONDS
        for child in children:
            child.await_ready(deadline)

    def _await_joined(self, nodes: Iterable[int]) -> None:
        """A node serves its clients before it has joined the cluster, but has nothing to offer them yet."""
        deadline = time.monotonic() + START_SECONDS
        for node in nodes:
            with self.connect(node, scoped_only=True) as client:
                while not (status := client.status())["joined"]:
                    if time.monotonic() > deadline:
                        why = f"{self._node(node).name} could not join: {status['last_error']}"
                        raise NodeUnavailable(why, remedy=self._node(node).last_words())
                    time.sleep(_JOIN_POLL_SECONDS)

    def _end(self, node: int, number: signal.Signals) -> None:
        self._owned_lifeline()
        self._node(node).signal(number)
        _reap([self._node(node)])

    def _owned_lifeline(self) -> int:
        if self._lifeline is None:
            raise NodeUnavailable(
                "the daemons of this local cluster are not children of this process",
                remedy="Start and stop them in the process that called start()",
            )
        return self._lifeline[0]

    def _break_lifeline(self) -> None:
        # Also what a forked child does, so that the lifeline ends with the parent alone.
        if self._lifeline is not None:
            for end in self._lifeline:
                os.close(end)
        self._lifeline = None


_clusters: weakref.WeakSet[LocalCluster] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for cluster in _clusters:
        cluster._break_lifeline()  # noqa: SLF001  # of the same module


os.register_at_fork(after_in_child=_leave_to_parent)


def _reap(children: list[Child]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        child.reap(deadline)


def _node_count(nodes: object) -> int:
    if isinstance(nodes, SupportsIndex) and not isinstance(nodes, bool):
        count = operator.index(nodes)
        if 0 <= count <= LOCAL_NODES_MAX:
            return count
    message = f"a local cluster has 0 to {LOCAL_NODES_MAX} nodes, not {nodes!r:.100}"
    raise InvalidArgument(message, remedy="Give a whole number, as in LocalCluster(nodes=3)")


def _limit(memory_limit: int | str) -> int:
    limit = parse_size(memory_limit, "memory_limit")
    if limit <= 0:
        message = f"memory_limit is {memory_limit!r:.100}, and a node needs some memory for its pages"
        raise InvalidArgument(message, remedy='Give a size above 0, like "2GiB", or leave it out')
    return limit


def _share(nodes: int) -> int:
    return int(memory().allowed * MEMORY_BYTES_DEFAULT_SHARE) // max(1, nodes)


def _make_run_directory() -> Path:
    longest = len(f"/dsm-12345678/node-{LOCAL_NODES_MAX}.sock")
    fits = len(os.fsencode(tempfile.gettempdir())) + longest <= _SOCKET_PATH_BYTES_MAX
    return Path(tempfile.mkdtemp(prefix="dsm-", dir=None if fits else "/tmp"))  # noqa: S108  # mkdtemp makes it private
