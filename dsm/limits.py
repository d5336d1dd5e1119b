"""Every bound and time-out of the project. The unit is the last word of the name.

A limit that a user may set appears here with its default; `dsm node --help` and `dsm directory --help` name the
options. Nothing in the project waits without one of these, and no queue grows beyond one of these.
"""

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
ARRAY_DIMENSIONS_MAX = 64  # NumPy 2's own NPY_MAXDIMS
DTYPE_CHARS_MAX = 4096  # a structured dtype of some hundred fields

# --- Waiting -----------------------------------------------------------------------------------------------------
HOLD_SECONDS_DEFAULT = 0.001  # a granted page stays so long, so that its requester makes progress (Mirage, SOSP 1989)
HOLD_SECONDS_MAX = 1.0
SCOPE_SECONDS_DEFAULT = 30.0  # read(), write(), prefetch() without a timeout of their own
CALL_SECONDS = 30.0  # a call of a client to its node daemon that waits for no other client
CONNECT_SECONDS = 5.0
DIRECTORY_CALL_SECONDS = 10.0  # a unary call of a node to the directory
RESEND_SECONDS = 1.0  # a request still open after this is sent again, in case a transfer broke
FAULT_SECONDS = 60.0  # a transparent fault unanswered for so long is poisoned: an error, never a hang
STOP_SECONDS = 5.0  # between asking a daemon to stop and killing it
START_SECONDS = 30.0  # until a daemon of a LocalCluster says that it is ready
RECONNECT_SECONDS_MIN = 0.05
RECONNECT_SECONDS_MAX = 2.0
KEEPALIVE_SECONDS = 5.0  # gRPC ping on an idle session
KEEPALIVE_TIMEOUT_SECONDS = 5.0  # no answer to the ping for so long ends the session

# --- Frames ------------------------------------------------------------------------------------------------------
LOCAL_FRAME_BYTES_MAX = 1 * MIB  # msgpack frame on the Unix socket
LOCAL_DESCRIPTORS_MAX = 8  # descriptors waiting on one connection for their frame
LOCAL_CALLS_MAX = 1024  # calls under way of one client
LOCAL_CLIENTS_MAX = 1024
PAGE_HEADER_BYTES_MAX = 1 * KIB  # msgpack header on the page stream
PAGE_FRAME_BYTES_MAX = 2 * MIB  # bytes behind one header: one page of the largest size, or a run of smaller ones
PAGE_STREAMS_MAX = 256  # connections that other nodes may hold to one node
SESSION_MESSAGE_BYTES_MAX = 4 * MIB  # gRPC's own default
SESSION_BATCH_MESSAGES_MAX = 1024  # page messages in one session message
SESSION_QUEUE_MESSAGES_MAX = 1 << 20  # outgoing page messages of one session before it is ended as too slow
RUN_PAGES_MAX = 4096  # pages that one message may name
HOME_QUEUE_REQUESTS_MAX = 4096  # requests waiting for one page; one per node, so the bound of nodes too

# --- Read-ahead, prefetch ----------------------------------------------------------------------------------------
READ_AHEAD_BYTES_MAX = 4 * MIB  # sequential misses double the window up to this
PREFETCH_BYTES_MAX = 16 * MIB  # requested ahead by one scope or prefetch(); the rest follows as these arrive

# --- Memory ------------------------------------------------------------------------------------------------------
MEMORY_BYTES_DEFAULT_SHARE = 0.5  # of the memory the daemon may use (cgroup or machine)
