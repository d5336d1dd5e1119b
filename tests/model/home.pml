/* The directory's half of the protocol. Mirrors dsm/core/home.py, and dsm/core/succession.py for Put.
 *
 * One transaction at a time; later requests wait in the order of their arrival. It is closed when the requester said
 * Done and every Fetch and Inv is acknowledged, in whichever order these come.
 */

#define SAY(node, kind, what_version, what) from_home[node]!kind, home.requester, home.number, what_version, what

/* The order that makes the supplier send its bytes. `alone`: no other copy has to go, so the bytes grant. */
inline Order(alone) {
    if
    :: home.kind == GetS -> SAY(home.supplier, Fetch, 0, 0)
    :: home.kind == GetM && alone -> SAY(home.supplier, Inv, 0, SEND_AND_GRANT)
    :: else -> SAY(home.supplier, Inv, 0, SEND)
    fi
}

/* A request that is under way or waits is a repeat. The former means: start the transfer again. */
inline Requested() {
    known = queue??[eval(kind), eval(sender), eval(number), _];
    if
    :: kind != Put && home.kind == kind && home.requester == sender && home.number == number ->
        if
#ifndef BUG_IGNORE_REPEAT
        :: home.supplier != NOBODY && !(home.acks & BIT(home.supplier)) && !home.done ->
            home.acks = home.acks | BIT(home.supplier);
            Order(home.grant == 0)
#endif
        :: else
        fi
    :: known
    :: else -> queue!kind, sender, number, more
    fi
}

inline Acknowledged() {
    assert(home.kind == GetS || home.kind == GetM);
    assert(home.requester == about && home.number == number && (home.acks & BIT(sender)));
    home.acks = home.acks & ~BIT(sender);
    Proceed()
}

inline Finished() {
    assert(home.kind != 0 && home.requester == about && home.number == number);
    if
    :: home.kind == Put -> HeirAnswered()
    :: else ->
        assert(sender == home.requester && home.grant == 0 && !home.done);
        home.done = 1;
        Proceed()
    fi
}

/* After an Ack or a Done: let the Grant go, or close, or wait on. */
inline Proceed() {
    if
#ifdef BUG_CLOSE_BEFORE_ACKS
    :: home.acks && !home.done
#else
    :: home.acks
#endif
    :: else ->
        if
        :: home.done -> Close()
        :: else ->
            if
            :: home.grant -> SAY(home.requester, Grant, NEXT(home.version), home.grant)
            :: else
            fi;
            home.grant = 0
        fi
    fi
}

inline Close() {
    if
    :: home.kind == GetS ->
#ifndef BUG_FORGET_SHARER
        home.sharers = home.sharers | BIT(home.requester)
#endif
    :: home.kind == GetM ->
        if
        :: home.supplier != NOBODY -> SAY(home.supplier, Release, 0, 0)
        :: else
        fi;
        home.version = NEXT(home.version);
        home.owner = home.requester;
        home.sharers = 0
    :: home.kind == Put
    fi;
    home.kind = 0;
    home.requester = 0;
    home.number = 0;
    home.acks = 0;
    home.supplier = NOBODY;
    home.grant = 0;
    home.done = 0;
    home.asked = NOBODY
}

/* Open the next transaction if none is open: several, where one is answered at once. */
inline Advance() {
    do
    :: home.kind == 0 && len(queue) ->
        queue?kind, sender, number, more;
        home.kind = kind;
        home.requester = sender;
        home.number = number;
        if
        :: kind == GetS -> OpenRead()
        :: kind == GetM -> OpenWrite()
        :: kind == Put -> AskNext()
        fi
    :: else -> break
    od
}

inline OpenRead() {
    assert(home.owner != sender);
    if
    :: home.owner == NOBODY -> SAY(sender, Grant, home.version, ZERO)
    :: else ->
        home.supplier = home.owner;
        home.acks = BIT(home.owner);
        Order(true)
    fi
}

/* Every other copy has to go. Whether the writer needs bytes is decided now: its copy may have gone while it waited. */
inline OpenWrite() {
    others = home.sharers & ~BIT(sender);
    if
    :: home.owner != NOBODY && home.owner != sender -> others = others | BIT(home.owner)
    :: else
    fi;
    if
    :: more == home.version ->
        assert((home.sharers & BIT(sender)) || home.owner == sender);   /* who holds a version is known to hold it */
        home.grant = HELD
    :: more != home.version && home.owner == NOBODY ->
        home.grant = ZERO
    :: else ->
        assert(home.owner != sender);                                   /* an owner has the current version */
        home.grant = SENT;
        home.supplier = home.owner
    fi;
    home.acks = others;
    other = 0;
    do
    :: other < NODES ->
        if
        :: !(others & BIT(other)) || other == home.supplier
        :: else -> SAY(other, Inv, 0, DROP)
        fi;
        other++
    :: else -> break
    od;
    if
    :: home.supplier != NOBODY && others == BIT(home.supplier) ->
        home.grant = 0;
        Order(true)
    :: home.supplier != NOBODY && others != BIT(home.supplier) ->
        Order(false)
    :: home.supplier == NOBODY && others == 0 ->
        SAY(sender, Grant, NEXT(home.version), home.grant);
        home.grant = 0
    :: else
    fi;
    other = 0;
    others = 0
}

/* A Put: the sharers are asked in turn to become the owner. `HomeHears` picks the one, any one, and asks. */
inline AskNext() {
    home.asked = NOBODY;
    if
    :: home.requester == home.owner && home.sharers
    :: else ->
        SAY(home.requester, PutAck, 0, false);
        Close()
    fi
}

inline HeirAnswered() {
    assert(sender == home.asked);
    home.sharers = home.sharers & ~BIT(sender);
    if
    :: more ->
        home.owner = sender;
        home.sharers = home.sharers | BIT(home.requester);
        SAY(home.requester, PutAck, 0, true);
        Close()
    :: else -> AskNext()
    fi
}

#define MUST_ASK (home.kind == Put && home.asked == NOBODY)

/* One for each session. */
proctype HomeHears(byte session) {
    mtype kind;
    byte sender, about, number, more, other, others;
    byte known;         /* not a bit: a poll of a channel is the place of what it found */
end:
    do
    :: atomic {
        d_step {
            to_home[session]?kind, about, number, more;
            sender = session;
            if
            :: kind == GetS || kind == GetM || kind == Put -> Requested()
            :: kind == Ack -> Acknowledged()
            :: kind == Done -> Finished()
            fi;
            Renumber();
            Advance();
            kind = 0;
            sender = 0;
            about = 0;
            number = 0;
            more = 0;
            known = 0
        }
        if
        :: MUST_ASK && (home.sharers & 1) -> home.asked = 0
        :: MUST_ASK && (home.sharers & 2) -> home.asked = 1
        :: MUST_ASK && (home.sharers & 4) -> home.asked = 2
        :: else -> goto end
        fi;
        assert(len(from_home[home.asked]) < SESSION_LENGTH);
        SAY(home.asked, Adopt, home.version, 0)
       }
    od
}
