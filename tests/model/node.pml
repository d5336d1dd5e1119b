/* A node's half of the protocol, its processes, and the page stream to it. Mirrors dsm/core/cache.py.
 *
 * `me` is the node. Each alternative of the proctypes below is one step.
 */

#define MINE page[me]
#define RETAINED_FOR_IT (MINE.retained != NO_VERSION && MINE.retained_for == about && MINE.retained_number == number)

#define NUMBER_IN_USE(which) (stream[me]??[_, eval(which), _, _] || \
    home.kind != Put && home.kind != 0 && home.requester == me && home.number == which)

/* At most one request is under way. Its number is one that no transfer and no open transaction mentions. */
inline Ask(what_kind) {
    number = 0;
    do
    :: number < NUMBERS ->
        in_use = NUMBER_IN_USE(number);
        if
        :: in_use -> number++
        :: else -> break
        fi
    :: else -> break
    od;
    assert(number < NUMBERS);
    MINE.pending = what_kind;
    MINE.number = number;
    SayRequest();
    number = 0;
    in_use = 0
}

inline SayRequest() {
    if
    :: MINE.pending == GetM && READABLE(me) -> to_home[me]!GetM, me, MINE.number, MINE.version
    :: else -> to_home[me]!MINE.pending, me, MINE.number, NO_VERSION
    fi
}

/* An owner sends its bytes: those in memory, or those that it retains. They are read when they leave; see `Arrives`. */
#define SUPPLY(what_version, what_for) stream[about]!!me, number, what_version, what_for

inline Ordered() {
    if
    :: kind == Fetch && MINE.state == M && (MINE.held || MINE.pin == PINNED_TO_WRITE) -> Defer()
    :: kind == Inv && what != DROP && RETAINED_FOR_IT ->        /* the first transfer broke */
        SUPPLY(NEXT(MINE.retained), MINE.retained_what);
        to_home[me]!Ack, about, number, 0
    :: kind == Inv && READABLE(me) && (MINE.held || MINE.pin != UNPINNED) -> Defer()
    :: else ->
        if
        :: kind == Fetch ->
            assert(OWNS(me));
            MINE.state = O;
            SUPPLY(MINE.version, TO_READ)
        :: kind == Inv && what == DROP ->
            assert(MINE.state != M);
            if
#ifndef BUG_KEEP_COPY
            :: READABLE(me) -> Gone()
#endif
            :: else                                             /* dropped in silence before */
            fi
        :: kind == Inv && what != DROP ->
            assert(OWNS(me));
            assert(MINE.retained == NO_VERSION);                /* one copy is retained at a time */
            SUPPLY(NEXT(MINE.version), what);
#ifndef BUG_RETAIN_NOTHING
            MINE.retained = MINE.bytes;
            MINE.retained_for = about;
            MINE.retained_number = number;
            MINE.retained_what = what;
#endif
            Gone()
        fi;
        to_home[me]!Ack, about, number, 0
    fi
}

inline Gone() {
    MINE.state = I;
    MINE.version = 0;
    MINE.bytes = NO_VERSION
}

inline Defer() {
    assert(MINE.deferred == 0);                                 /* home opens one transaction at a time */
    MINE.deferred = kind;
    MINE.deferred_for = about;
    MINE.deferred_number = number;
    MINE.deferred_what = what
}

/* Pin or hold has ended: what was deferred has its turn, or waits for the other of the two. */
inline Resume() {
    if
    :: MINE.deferred ->
        kind = MINE.deferred;
        about = MINE.deferred_for;
        number = MINE.deferred_number;
        what = MINE.deferred_what;
        MINE.deferred = 0;
        MINE.deferred_for = 0;
        MINE.deferred_number = 0;
        MINE.deferred_what = 0;
        Ordered();
        ForgetMessage()
    :: else
    fi
}

inline ForgetMessage() {
    kind = 0;
    about = 0;
    number = 0;
    version = 0;
    what = 0
}

inline Granted() {
    assert(about == me && MINE.pending && MINE.number == number);
    assert((what == HELD) == READABLE(me));
    if
    :: what == SENT && !MINE.arrived ->
        assert(MINE.pending == GetM);
        MINE.granted = 1
    :: else ->
        if
        :: what == ZERO ->
            assert(!written);                                   /* a page that was written is never read as zeros */
            MINE.bytes = 0
        :: else
        fi;
        Complete()
    fi
}

/* The request is answered: the node has the page in `version`. A writer writes at once. */
inline Complete() {
    if
    :: MINE.pending == GetM ->
        assert(MINE.bytes == latest && version == NEXT(latest));
        latest = version;
        written = 1;
        MINE.bytes = version;
        MINE.state = M
    :: else ->
        MINE.state = S
    fi;
    MINE.version = version;
    to_home[me]!Done, me, MINE.number, true;
    MINE.pending = 0;
    MINE.number = 0;
    MINE.arrived = 0;
    MINE.granted = 0;
    MINE.held = HOLD
}

/* Bytes count only for the request they answer. They leave at the last moment: what the supplier has now is what
 * comes. */
inline Arrives() {
    if
    :: MINE.pending && MINE.number == number && !MINE.arrived && !READABLE(me) ->
        assert((MINE.pending == GetM) == (what != TO_READ));
        if
        :: page[supplier].retained != NO_VERSION && page[supplier].retained_for == me &&
           page[supplier].retained_number == number ->
            MINE.bytes = page[supplier].retained
        :: else ->
            MINE.bytes = page[supplier].bytes
        fi;
        assert(MINE.bytes == latest);
        if
        :: what != SEND || MINE.granted -> Complete()
        :: else -> MINE.arrived = 1
        fi
    :: else
    fi
}

inline ForgetTransfer() {
    supplier = 0;
    number = 0;
    version = 0;
    what = 0
}

inline Adopts() {
    assert(MINE.state == I || MINE.state == S);                 /* owners are not asked */
    assert(MINE.deferred == 0);
    if
    :: MINE.state == S && MINE.version == version ->
        MINE.state = O;
        to_home[me]!Done, about, number, true
    :: else ->
        to_home[me]!Done, about, number, false
    fi
}

inline PutAnswered() {
    assert(MINE.putting && about == me);
    MINE.putting = 0;
    if
    :: what ->
        assert(MINE.state == O);
        MINE.state = S
    :: else
    fi
}

/* What home says, in its order. */
proctype NodeHears(byte me) {
    mtype kind;
    byte about, number, version, what, other, owners, readers, writers;
end:
    do
    :: d_step {
        from_home[me]?kind, about, number, version, what;
        if
        :: kind == Fetch || kind == Inv -> Ordered()
        :: kind == Grant -> Granted()
        :: kind == Release ->
#ifndef BUG_RETAIN_NOTHING
            assert(RETAINED_FOR_IT);        /* retained until now */
#endif
            MINE.retained = NO_VERSION;
            MINE.retained_for = 0;
            MINE.retained_number = 0;
            MINE.retained_what = 0
        :: kind == Adopt -> Adopts()
        :: kind == PutAck -> PutAnswered()
        fi;
        ForgetMessage();
        Laws()
       }
    od
}

/* The page stream: any transfer may be the next, and some are lost. Spin takes a message out of a channel's middle only
 * by its contents, so each supplier and number is an alternative.
 */
#define TAKE(from, with) :: stream[me]??from, with, version, what -> supplier = from; number = with
#define TAKE_FROM(from) TAKE(from, 0) TAKE(from, 1) TAKE(from, 2) TAKE(from, 3)

proctype Receives(byte me) {
    byte supplier, number, version, what, other, owners, readers, writers;
end:
    do
    :: atomic {
        if
        TAKE_FROM(0)
        TAKE_FROM(1)
        TAKE_FROM(2)
        fi;
        if
        :: d_step { true -> Arrives(); ForgetTransfer(); Laws() }
        :: d_step { losses > 0 -> losses--; ForgetTransfer() }
        fi
       }
    od
}

/* What happens in time of itself: holds, scopes and patience end. */
proctype Waits(byte me) {
    mtype kind;
    byte about, number, version, what, other, owners, readers, writers;
end:
    do
    :: d_step {
        MINE.held ->
        MINE.held = 0;
        Resume();
        Laws()
       }
    :: d_step {
        MINE.pin != UNPINNED ->
        MINE.pin = UNPINNED;
        Resume();
        Laws()
       }
    :: d_step {
        OVERDUE(me) ->
        SayRequest()
       }
    od
}

#define EVICTABLE (MINE.pending == 0 && MINE.deferred == 0 && !MINE.putting && MINE.pin == UNPINNED && !MINE.held)
#define CAN_PIN (MINE.pin == UNPINNED && MINE.deferred == 0)

#if OPERATIONS
#define MAY (left > 0)
#define COUNT left--
#else
#define MAY true
#define COUNT skip
#endif

/* What the node's processes, and its shortage of memory, may bring about. */
proctype Wants(byte me) {
    byte number, in_use, left = OPERATIONS;
end:
    do
    :: d_step { MAY && MINE.pending == 0 && MINE.state == I -> COUNT; Ask(GetS) }
    :: d_step { MAY && MINE.pending == 0 && MINE.state != M -> COUNT; Ask(GetM) }
    :: d_step { MAY && EVICTABLE && MINE.state == S -> COUNT; Gone() }
    :: d_step { MAY && EVICTABLE && MINE.state == O -> COUNT; MINE.putting = 1; to_home[me]!Put, me, 0, 0 }
#if SCOPES
    :: d_step { MAY && CAN_PIN && READABLE(me) -> COUNT; MINE.pin = PINNED_TO_READ }
    :: d_step { MAY && CAN_PIN && MINE.state == M -> COUNT; MINE.pin = PINNED_TO_WRITE }
#endif
#if REPEATS
    :: d_step { repeats && MINE.pending && !MINE.arrived -> repeats--; SayRequest() }
#endif
#ifdef LIVE
    :: number = 0       /* wants nothing */
#endif
    od
}
