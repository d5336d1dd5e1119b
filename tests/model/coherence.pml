/* The coherence protocol of one page, for the model checker Spin: a second opinion.
 *
 * It was written from the protocol's documents and its table of messages, not from the code, and shares nothing with
 * it. Where the two disagree, one of them is wrong.
 *
 *     coherence.pml   names, channels, the laws, and who lives in the model     docs/ARCHITECTURE.md, core/invariants.py
 *     home.pml        the directory's half                                      core/home.py, core/succession.py
 *     node.pml        a node's half, its processes and the way of its bytes     core/cache.py
 *
 * What is modelled. Nodes ask for the page, write, evict, and take it into scopes as often as they like and in any
 * order; no number of operations bounds the search. Sessions are first in, first out. The page stream has no order;
 * bytes leave their supplier as late as possible, are lost LOSSES times, and requests are repeated without need
 * REPEATS times. Each step of home or of a node is one d_step, as it is in the daemons.
 *
 * How the search stays finite. Versions count modulo VERSIONS: between the moment when a node says which version it
 * holds and the moment when home compares, the others can write NODES - 1 times, so VERSIONS > NODES confuses no two of
 * them. Bytes are the version that was written last. A request is the requester and a number; numbers are used again
 * once nothing mentions them (`Ask` in node.pml).
 *
 * Two ways to run it.
 *   Safety (the default): at some moment all processes stop asking for more (`closing`), and what is under way must
 *       come to rest. Every deadlock is then a state that is not quiet. The laws are assertions. All `do` loops are
 *       valid end states, since `Quiet` looks at what is left with more care than Spin would.
 *   Liveness (-DLIVE): nobody stops. Under weak fairness each request of node 0 is answered in the end. All numbers of
 *       nodes are alike in this model (home asks sharers in any order), so this holds for every node. Each channel is
 *       heard by a process of its own, because Spin's fairness is one of processes: home must not be allowed to listen
 *       to one session for ever. Processes of a node may also choose to want nothing.
 *
 * What is left out: the end of a session, and messages of a session that are heard twice. tests/model/cluster.py has
 * both.
 *
 * BUG_... plants a fault; test_promela.py lists them and how each is found.
 */

#ifndef NODES
#define NODES 3
#endif
#ifndef LOSSES
#define LOSSES 1        /* transfers that are lost */
#endif
#ifndef REPEATS
#define REPEATS 0       /* requests that are repeated although nothing is overdue */
#endif

#define VERSIONS NODES
#define NO_VERSION VERSIONS     /* also the bytes of a page that is not there */
#define NUMBERS 4               /* of requests of one node that anything can mention at a time */
#define NOBODY NODES
#define SESSION_LENGTH 5        /* messages on their way in one direction; a send beyond is an error of the model */
#define STREAM_LENGTH 3         /* transfers on their way to one node */

#define BIT(node) (1 << (node))
#define NEXT(version) (((version) + 1) % VERSIONS)

mtype = { GetS, GetM, Ack, Done, Put };                         /* to home */
mtype = { Fetch, Inv, Grant, Release, Adopt, PutAck };          /* from home */
mtype = { I, S, O, M };
mtype = { ZERO, HELD, SENT };                                   /* where the bytes of a Grant come from */

/* What an Inv asks for beside the copy's end: Inv(to=None), Inv(to, grants=False), Inv(to, grants=True). */
#define DROP 0
#define SEND 1
#define SEND_AND_GRANT 2

#define UNPINNED 0
#define PINNED_TO_READ 1
#define PINNED_TO_WRITE 2

/* kind, requester, number of the request, and: GetM the version held, Done whether it has what it asked for */
chan to_home[NODES] = [SESSION_LENGTH] of { mtype, byte, byte, byte };
/* kind, requester, number, version (Grant, Adopt), and: Inv what it asks for, Grant the source, PutAck taken */
chan from_home[NODES] = [SESSION_LENGTH] of { mtype, byte, byte, byte, byte };
/* Data: supplier, number of the request, version, write, grants. Kept sorted, received from any place: no order. */
chan stream[NODES] = [STREAM_LENGTH] of { byte, byte, byte, bit, bit };

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
    byte version;       /* 0 unless readable, or bytes are here */
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
    bit retained_grants;
    bit putting
}
CachePage page[NODES];

byte latest;            /* the version granted last */
bit written;            /* somebody was granted the page for writing */
byte losses = LOSSES;
byte repeats = REPEATS;
bit closing;            /* nobody wants anything more */

#define READABLE(node) (page[node].state != I)
#define KEPT(node) (page[node].retained == latest || READABLE(node))
#define OWNS(node) (page[node].state == O || page[node].state == M)

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
        assert(empty(to_home[other]) && empty(from_home[other]) && empty(stream[other]));
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

#include "home.pml"
#include "node.pml"

#ifndef LIVE
active proctype Closes() {
    closing = 1
}

active proctype Quiet() {
    byte other;
    timeout -> d_step { Agreement() }
}
#endif

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
