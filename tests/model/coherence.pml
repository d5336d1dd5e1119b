/* The coherence protocol of one page, for the model checker Spin: a second opinion.
 *
 * It was written from the protocol's documents and its table of messages, not from the code, and shares nothing with
 * it. Where the two disagree, one of them is wrong.
 *
 *     file            what                                                   mirrors
 *     coherence.pml   names, channels, the laws, and who lives in the model  dsm/core/messages.py, invariants.py
 *     home.pml        the directory's half                                   dsm/core/home.py, succession.py
 *     node.pml        a node's half, its processes, the way of its bytes     dsm/core/cache.py
 *
 * What is modelled. Nodes ask for the page, write, evict, and take it into scopes in any order; OPERATIONS bounds how
 * often, and need not. Sessions are first in, first out. The page stream has no order; bytes leave their supplier as
 * late as possible and are lost LOSSES times, and requests are repeated without need REPEATS times. A step of home or
 * of a node is one d_step, as it is one turn of a loop in the daemons.
 *
 * How the search is finite without a bound on operations. Versions are counted from home's (`Renumber`). Bytes are the
 * version that was written last; whoever may write has written. A request is its requester and a number, and numbers
 * are used again once nothing mentions them (`Ask` in node.pml).
 *
 * Two ways to run it.
 *   Safety (the default): the laws are assertions after each step of a node (`Laws`); a message that its receiver
 *       cannot take is a violated assertion or an `if` without a way out; and when nothing happens of itself any more,
 *       nobody may still wait (`Rests`). So every `do` is a valid end state: `Rests` finds the deadlocks.
 *   Liveness (-DLIVE): under weak fairness each request of node 0 is answered in the end. The model treats all nodes
 *       alike (home asks sharers in any order), so this holds for every node. Each channel is heard by a process of its
 *       own, since Spin is fair to processes: home must not listen to one session for ever. A node's own processes may
 *       want nothing any more.
 *
 * What is left out: the end of a session, and messages of a session that are heard twice. tests/model/cluster.py has
 * both.
 *
 * BUG_... plants a fault; test_promela.py lists them and how each is found.
 */

#ifndef NODES
#define NODES 3
#endif
#ifndef OPERATIONS
#define OPERATIONS 0    /* that each node begins: to read, to write, a scope, an eviction; 0 for as many as it likes */
#endif
#ifndef SCOPES
#define SCOPES 1        /* processes take the page into scopes */
#endif
#ifndef HOLD
#define HOLD 1          /* a granted page is held for a while; without, its hold ends at once */
#endif
#ifndef LOSSES
#define LOSSES 1        /* transfers that are lost */
#endif
#ifndef REPEATS
#define REPEATS 0       /* requests that are repeated although nothing is overdue */
#endif

/* Versions, as seen from home: its own is CURRENT; see `Renumber`. A page that nobody has written is OLDER. */
#define OLDER 0
#define CURRENT 1
#define GRANTED 2               /* to a writer whose transaction is not closed yet */
#define NO_VERSION 3            /* also the bytes of a page that is not there */
#define NUMBERS 4               /* of requests of one node that anything can mention at a time */
#define NOBODY NODES
#define SESSION_LENGTH 5        /* messages on their way in one direction; a send beyond is an error of the model */
#define STREAM_LENGTH 3         /* transfers on their way to one node */

#define BIT(node) (1 << (node))
#define NEXT(version) ((version) + 1)

mtype = { GetS, GetM, Ack, Done, Put };                         /* to home */
mtype = { Fetch, Inv, Grant, Release, Adopt, PutAck };          /* from home */
mtype = { I, S, O, M };
mtype = { ZERO, HELD, SENT };                                   /* where the bytes of a Grant come from */

/* What an Inv asks for: Inv(to=None), Inv(to, grants=False), Inv(to, grants=True). Data to a writer says the same. */
#define DROP 0
#define SEND 1
#define SEND_AND_GRANT 2
#define TO_READ 3               /* Data to a reader */

#define UNPINNED 0
#define PINNED_TO_READ 1
#define PINNED_TO_WRITE 2

/* kind, requester, number of the request, and: GetM the version held, Done whether it has what it asked for */
chan to_home[NODES] = [SESSION_LENGTH] of { mtype, byte, byte, byte };
/* kind, requester, number, version (Grant, Adopt), and: Inv what it asks for, Grant the source, PutAck taken */
chan from_home[NODES] = [SESSION_LENGTH] of { mtype, byte, byte, byte, byte };
/* Data: supplier, number of the request, version, what for. Kept sorted, received from any place: there is no order. */
chan stream[NODES] = [STREAM_LENGTH] of { byte, byte, byte, byte };

/* home_page.HomePage and its Transaction */
typedef HomePage {
    byte version;
    byte owner = NOBODY;
    byte sharers;       /* a set, as bits */
    mtype kind;         /* of the transaction under way: GetS, GetM, Put; 0 without one */
    byte requester;
    byte number;
    byte acks;          /* who has still to acknowledge, as bits */
    byte supplier = NOBODY;
    mtype grant;        /* source of the Grant that the last Ack lets go out */
    bit done;
    byte asked = NOBODY /* the sharer that was asked to adopt the page */
}
HomePage home;
/* kind, requester, number, version held */
chan queue = [2 * NODES] of { mtype, byte, byte, byte };

/* cache.CachePage, and the bytes of the page */
typedef CachePage {
    mtype state = I;
    byte version;       /* OLDER unless readable */
    byte bytes = NO_VERSION;
    mtype pending;      /* GetS, GetM; 0 without a request */
    byte number;        /* of the pending request */
    bit arrived;        /* the bytes are here and wait for the Grant */
    bit granted;        /* the Grant is here and waits for the bytes */
    byte pin;
    bit held;
    mtype deferred;     /* Fetch, Inv; 0 without */
    byte deferred_for;
    byte deferred_number;
    byte deferred_what;
    byte retained = NO_VERSION;         /* the bytes kept aside */
    byte retained_for;
    byte retained_number;
    byte retained_what;
    bit putting
}
CachePage page[NODES];

byte latest;            /* the version granted last */
bit written;            /* somebody was granted the page for writing */
byte losses = LOSSES;
byte repeats = REPEATS;

#define READABLE(node) (page[node].state != I)
#define KEPT(node) (page[node].retained == latest || READABLE(node))
#define EARLIER(version) version = (version == NO_VERSION || version == OLDER -> version : version - 1)
#define OWNS(node) (page[node].state == O || page[node].state == M)

/* Count versions from home's, which has just grown. A version is only ever compared with home's and the latest, so
 * older ones need not be told apart, and nothing is lost by this.
 */
inline Renumber() {
    if
    :: home.version > CURRENT ->
        home.version--;
        latest--;
        other = 0;
        do
        :: other < NODES ->
            EARLIER(page[other].version);
            EARLIER(page[other].bytes);
            EARLIER(page[other].retained);
            others = len(to_home[other]);
            do
            :: others > 0 ->
                to_home[other]?kind, about, number, more;
                if
                :: kind == GetM -> EARLIER(more)
                :: else
                fi;
                to_home[other]!kind, about, number, more;
                others--
            :: else -> break
            od;
            others = len(stream[other]);
            do
            :: others > 0 ->
                stream[other]?sender, number, about, more;
                EARLIER(about);
                stream[other]!sender, number, about, more;
                others--
            :: else -> break
            od;
            other++
        :: else -> break
        od;
        others = len(queue);
        do
        :: others > 0 ->
            queue?kind, about, number, more;
            EARLIER(more);
            queue!kind, about, number, more;
            others--
        :: else -> break
        od;
        other = 0
    :: else
    fi
}

/* invariants.always: looked at after each step of a node. */
inline Laws() {
    other = 0;
    owners = 0;
    readers = 0;
    writers = 0;
    do
    :: other < NODES ->
        if
        :: READABLE(other) ->
            readers++;
            assert(page[other].version == latest);              /* latest value */
            assert(page[other].bytes == latest)                 /* ... and the bytes are that version */
        :: else ->
            assert(page[other].arrived || page[other].bytes == NO_VERSION)
        fi;
        if
        :: page[other].state == M -> writers++
        :: else
        fi;
        if
        :: OWNS(other) && !page[other].putting -> owners++
        :: else
        fi;
        assert(page[other].pin != PINNED_TO_READ || READABLE(other));           /* scope */
        assert(page[other].pin != PINNED_TO_WRITE || page[other].state == M);
        other++
    :: else -> break
    od;
    assert(writers == 0 || readers == 1);                       /* single writer */
    assert(owners <= 1);                                        /* one owner */
    /* the only copy is never gone: someone can read, or the bytes are retained for whoever is to write */
    assert(!written || readers > 0 || home.kind == GetM && home.supplier != NOBODY && KEPT(home.supplier));
    other = 0;
    owners = 0;
    readers = 0;
    writers = 0
}

/* invariants.when_quiet: when nothing can happen any more, nobody waits, and home knows who has what. */
inline Agreement() {
    assert(home.kind == 0 && empty(queue));
    other = 0;
    do
    :: other < NODES ->
        assert(page[other].pending == 0 && page[other].deferred == 0 && !page[other].putting);
        assert(page[other].retained == NO_VERSION);
        assert(OWNS(other) == (home.owner == other));
        assert(page[other].state != S || (home.sharers & BIT(other)));
        other++
    :: else -> break
    od;
    assert(home.version == latest);
    other = 0
}

/* The bytes that `node` waits for are overdue: home has the supplier's Ack, so they were sent, and they are not on
 * their way. A real node does not see that; it waits long enough. REPEATS lets it wait too short.
 */
#define OVERDUE(node) (page[node].pending && !page[node].arrived && \
    home.kind && home.kind != Put && home.requester == node && home.number == page[node].number && \
    home.supplier != NOBODY && !(home.acks & BIT(home.supplier)) && \
    !stream[node]??[_, eval(page[node].number), _, _] && \
    !to_home[node]??[GetS, _, _, _] && !to_home[node]??[GetM, _, _, _])

/* Nothing happens of itself any more: it takes somebody who wants something. */
#define IDLE(node) (len(to_home[node]) + len(from_home[node]) + len(stream[node]) == 0 && \
    !page[node].held && page[node].pin == UNPINNED && !OVERDUE(node))
#if NODES == 2
#define AT_REST (IDLE(0) && IDLE(1))
#else
#define AT_REST (IDLE(0) && IDLE(1) && IDLE(2))
#endif

#include "home.pml"
#include "node.pml"

/* Enabled exactly where, but for new wants, nothing is. */
active proctype Rests() {
    byte other;
end:
    do
    :: d_step { AT_REST -> Agreement() }
    od
}

init {
    byte node;
    atomic {
        do
        :: node < NODES ->
            run HomeHears(node);
            run NodeHears(node);
            run Receives(node);
            run Waits(node);
            run Wants(node);
            node++
        :: else -> break
        od;
        node = 0
    }
}

#ifdef LIVE
ltl answered {
    [] (page[0].pending -> <> !page[0].pending) && [] (page[0].putting -> <> !page[0].putting)
}
#endif
