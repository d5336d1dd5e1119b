"""Every bound and time-out of the project. The unit is the last word of the name.

A limit that a user may set appears here with its default; `dsm node --help` and `dsm directory --help` name the
options. Nothing in the project waits without one of these, and no queue grows beyond one of these.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

# --- Regions -----------------------------------------------------------------------------------------------------
PAGE_BYTES_MIN = 4 * KIB  # the OS page of x86-64; the hardware cannot protect less
PAGE_BYTES_MAX = 2 * MIB  # one huge page; a larger unit of coherence only adds false sharing
PAGE_BYTES_DEFAULT = 64 * KIB  # where cost per byte stops falling on a loopback page stream
REGION_BYTES_MAX = 1 * TIB  # sparse; bounded by the 47-bit address space shared with everything else
REGIONS_PER_NODE_MAX = 4096  # each costs the daemon one descriptor, and one more for each attachment
NAME_CHARS_MAX = 255  # NAME_MAX of POSIX file systems
REGIONS_MAX = 1 << 16  # in one cluster; each costs the directory some KiB
ADDRESS_CHARS_MAX = 300  # a host name of 253 (RFC 1035) and a port
ARRAY_DIMENSIONS_MAX = 64  # NumPy 2's own NPY_MAXDIMS
DTYPE_CHARS_MAX = 4096  # a structured dtype of some hundred fields

# --- Waiting -----------------------------------------------------------------------------------------------------
HOLD_SECONDS_DEFAULT = 0.001  # a granted page stays so long, so that its requester makes progress (Mirage, SOSP 1989)
HOLD_SECONDS_MAX = 1.0
SCOPE_SECONDS_DEFAULT = 30.0  # read(), write(), prefetch() without a timeout of their own
SCOPE_SECONDS_MAX = 365 * 86400.0  # what a timeout may be
SCOPE_PAGES_MAX = 1 << 18  # in one scope or prefetch: 16 GiB of pages of the default size
CALL_SECONDS = 30.0  # a call of a client to its node daemon that waits for no other client
CONNECT_SECONDS = 5.0
COMPLETION_SECONDS = 0.5  # the shell waits for the names of regions while somebody types
LOCAL_REPLY_GRACE_SECONDS = 5.0  # a client waits so much longer than the deadline its node daemon enforces
DIRECTORY_CALL_SECONDS = 10.0  # a unary call of a node to the directory
RESEND_SECONDS = 5.0  # a request is repeated if no page came for so long; a stream that breaks is noticed at once
FAULT_SECONDS = 60.0  # a transparent fault unanswered for so long is poisoned: an error, never a hang
TICK_SECONDS = 0.25  # between two looks of a node at what is overdue
ACCEPT_PAUSE_SECONDS = 1.0  # between two tries to accept a connection while the daemon has no descriptor left
HOLDER_SECONDS = 1.0  # spent on naming the holder in a DeadlineExceeded
STOP_SECONDS = 5.0  # between asking a daemon to stop and killing it
DEMO_SECONDS_DEFAULT = 120.0  # `dsm demo`, from its first worker to its verdict
BENCH_STEP_SECONDS = 60.0  # `dsm bench` waits so long for its partner process to prepare or touch pages
START_SECONDS = 30.0  # until a daemon of a LocalCluster says that it is ready
HELLO_SECONDS = 5.0  # between the opening of a session and its first message
RECOVERY_SECONDS = 10.0  # after its start the directory waits so long for the nodes that had regions attached
RECONNECT_SECONDS_MIN = 0.05
RECONNECT_SECONDS_MAX = 2.0
KEEPALIVE_SECONDS = 5.0  # gRPC ping on an idle session
KEEPALIVE_TIMEOUT_SECONDS = 5.0  # no answer to the ping for so long ends the session

# --- Frames ------------------------------------------------------------------------------------------------------
LOCAL_FRAME_BYTES_MAX = 1 * MIB  # msgpack frame on the Unix socket
LOCAL_ARRAY_ITEMS_MAX = 1 << 16  # in one array of a frame; a run of who_has takes some 20 bytes of its 1 MiB
WHO_HAS_RUNS_MAX = 1 << 14  # in one answer; each takes some 40 bytes of its frame
LOCAL_DESCRIPTORS_MAX = 8  # descriptors waiting on one connection for their frame
LOCAL_CALLS_MAX = 1024  # calls under way of one client
LOCAL_CLIENTS_MAX = 1024
LOCAL_NODES_MAX = 64  # of a LocalCluster; each is a process of some 60 MB
LOCAL_REPLY_FRAMES_MAX = 4096  # replies that a client has not read; beyond, it is cut off
PAGE_HEADER_BYTES_MAX = 1 * KIB  # msgpack header on the page stream
PAGE_FRAME_BYTES_MAX = 2 * MIB  # bytes behind one header: one page of the largest size, or a run of smaller ones
PAGE_SOCKET_BYTES = 4 * MIB  # send buffer of a page stream: a run of pages leaves in one system call
PAGE_QUEUE_FRAMES_MAX = 1 << 16  # frames waiting on one page stream; beyond, it is cut and the requests are repeated
FALLBACK_QUEUE_FRAMES_MAX = 256  # frames with their bytes waiting for gRPC; beyond, they are lost and asked for again
SESSION_MESSAGE_BYTES_MAX = 4 * MIB  # gRPC's own default
SESSION_BATCH_MESSAGES_MAX = 1024  # page messages in one session message
SESSION_QUEUE_MESSAGES_MAX = 1 << 20  # outgoing page messages of one session before it is ended as too slow
DIRECTORY_CALLS_MAX = 64  # unary calls of a node to the directory under way; far below the next line
STREAMS_PER_CONNECTION_MAX = 256  # gRPC calls under way on one connection; a node has one session and some unary calls
RUN_PAGES_MAX = 4096  # pages that one message may name
SESSIONS_MAX = 4096  # nodes in one cluster; each has at most two requests waiting for a page
PAGE_STREAMS_MAX = SESSIONS_MAX  # connections that other nodes may hold to one node
PAGE_MAP_ITEMS_MAX = 1 << 14  # runs, and sharers in them, of one reply about who has which page
REGION_INFOS_PER_REPLY = 128  # of up to 18 KiB each, so that a reply stays below SESSION_MESSAGE_BYTES_MAX

# --- Read-ahead, prefetch ----------------------------------------------------------------------------------------
READ_AHEAD_BYTES_MAX = 4 * MIB  # sequential misses double the window up to this
PREFETCH_BYTES_MAX = 16 * MIB  # requested ahead by one scope or prefetch(); the rest follows as these arrive
TRANSFER_CHUNK_BYTES = 4 * MIB  # of a file that `dsm put` and `dsm get` move in one scope

BENCH_SAMPLES_DEFAULT = 300  # of each kind of fault: a p99 that three samples exceed

# --- Memory ------------------------------------------------------------------------------------------------------
MEMORY_BYTES_DEFAULT_SHARE = 0.5  # of the memory the daemon may use (cgroup or machine)

# --- Page faults -------------------------------------------------------------------------------------------------
FAULT_READ_MESSAGES_MAX = 64  # read at once from one client's userfaultfd; then it is the next client's turn
FAULT_RETRIES_MAX = 100  # of an ioctl that the client's own mmap calls hold up (EAGAIN)
EVICTION_BATCH_PAGES = 64  # evicted at a time, so that a node at its limit does not search at each fault
STORY_EVENTS = 1024  # recent events of a region that an error report draws on

# --- Traces ------------------------------------------------------------------------------------------------------
TRACE_BUFFER_BYTES = 1 * MIB  # of records within one turn of the event loop, before they are written to the file
TRACE_RECORD_BYTES_MAX = 16 * MIB  # one step; the longest names every node of a cluster once
TRACE_STORY_STEPS = 6  # of a page, told with what is wrong there

# --- Checking of histories ---------------------------------------------------------------------------------------
VERIFY_SECONDS_DEFAULT = 60.0  # a checker that has not answered by then has failed
VERIFY_CLOCK_CELLS_MAX = 1 << 26  # operations times processes of a history whose write order is unknown: 512 MiB

# --- Check of a live cluster -------------------------------------------------------------------------------------
CHECK_STUCK_SECONDS = 1.5 * RESEND_SECONDS  # a request that was lost on its way has been repeated by then
CHECK_SECONDS_DEFAULT = 10.0
CHECK_POLL_SECONDS = 0.2  # between two looks at a page that was not quiet, or not well
CHECK_PAGES_MAX = 1 << 16  # looked at again; of a region with more pages that are not quiet, the rest is left out
CHECK_FINDINGS_MAX = 100  # told in words; all are counted

# --- Stress, litmus ----------------------------------------------------------------------------------------------
STRESS_SECONDS_DEFAULT = 10.0
STRESS_CLIENTS_MAX = 64  # each is a process that runs all the time
STRESS_GRACE_SECONDS = 60.0  # for what `dsm stress` does beside letting its clients act: start, collect, judge
LITMUS_ROUNDS_DEFAULT = 2000
LITMUS_BATCH_ROUNDS = 500  # in one region, and in one answer of a thread
LITMUS_BATCHES_MAX = 10  # a cell goes on for so many times its rounds while an allowed outcome is too rare
LITMUS_ROUND_SECONDS = 30.0  # a thread waits so long for the others to come to a round
LITMUS_CELL_SECONDS = 120.0  # for one batch
