"""Which accesses a memory model keeps in order: program order, and the order of one word's writes and reads.

**Sequential consistency** (Lamport 1979) keeps the whole program order.

**x86-TSO** (Sewell, Sarkar, Owens, Nardelli, Myreen 2010; in the axiomatic form of Alglave, Maranget and Tautschnig,
*Herding cats*, 2014) lets a store wait in its processor's buffer while later loads go ahead:

* A store is not ordered before later loads, until a fence or a locked instruction comes between. This is so for
  loads of the same word too: such a load reads from the buffer, which orders nothing for others, so that reading
  one's own store is no edge either. (To keep "store, then load of the same word" would forbid what processors do:
  x=1; read x; read y against y=1; read y; read x, where both find 0 in the other's word.)
* What stays forbidden on one word is added by itself: a load finds the process's own last store, or a later one.

Only a process that shares its host with another has a buffer that others could notice: before a page leaves a host,
its mappings are taken away there, and the interrupt that does so drains the store buffers.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from dsm.verify.accesses import NOBODY, Accesses
from dsm.verify.graph import Edges, Why
from dsm.verify.history import Column, Mask


class Model(Enum):
    """What a machine promises."""

    SEQUENTIAL = "sequential consistency"
    X86_TSO = "x86-TSO"


def program_edges(accesses: Accesses, model: Model) -> Edges:
    """What each process did in order, and what its own words' values say about that."""
    buffered = _buffered(accesses, model)
    real = np.flatnonzero(accesses.row != NOBODY)
    line = real[np.argsort(accesses.process[real], kind="stable")]
    reads = accesses.reader | accesses.ordering | ~buffered
    writes = accesses.writer | accesses.ordering | ~buffered
    after_read = _previous(accesses, line, reads)
    after_write = _previous(accesses, line, writes)
    after_write[~writes[line] | (after_write == after_read)] = NOBODY
    parts = [_chain(after_read, line), _chain(after_write, line), own_writes(accesses, line, buffered)]
    return Edges.joined(parts)


def reads_edges(accesses: Accesses, model: Model) -> Edges:
    """From each write to its readers, but not out of a process's own store buffer."""
    readers = np.flatnonzero(accesses.reader & (accesses.source != NOBODY))
    sources = accesses.source[readers]
    own = (accesses.process[sources] == accesses.process[readers]) & (accesses.row[sources] < accesses.row[readers])
    from_buffer = own & _buffered(accesses, model)[readers]
    return Edges.of(sources[~from_buffer], readers[~from_buffer], Why.READS)


def write_order_edges(accesses: Accesses, ordered: Column) -> Edges:
    """From each write to the next on its word, and from the readers of the one to the other.

    `ordered`: all writes, those of one word together, in the order they took effect.
    """
    follower = np.full(len(accesses), NOBODY)
    same = accesses.word[ordered[1:]] == accesses.word[ordered[:-1]]
    follower[ordered[:-1][same]] = ordered[1:][same]
    writers = np.flatnonzero(follower != NOBODY)
    readers = np.flatnonzero(accesses.reader & (accesses.source != NOBODY))
    overwriter = follower[accesses.source[readers]]
    missed = (overwriter != NOBODY) & (overwriter != readers)
    parts = [
        Edges.of(writers, follower[writers], Why.OVERWRITES),
        Edges.of(readers[missed], overwriter[missed], Why.MISSED),
    ]
    return Edges.joined(parts)


def own_writes(accesses: Accesses, line: Column, buffered: Mask) -> Edges:
    """From a buffered process's last write of a word to the write whose value it read there later."""
    on_words = line[(accesses.word[line] != NOBODY) & accesses.known[line]]
    by_word = on_words[np.lexsort((accesses.row[on_words], accesses.word[on_words], accesses.process[on_words]))]
    last = _last(by_word, accesses.writer[by_word])
    same = (accesses.word[last] == accesses.word[by_word]) & (accesses.process[last] == accesses.process[by_word])
    same &= last != NOBODY
    source = accesses.source[by_word]
    chosen = same & accesses.reader[by_word] & buffered[by_word] & (source != NOBODY) & (source != last)
    return Edges.of(last[chosen], source[chosen], Why.INFERRED, by_word[chosen])


def _last(line: Column, chosen: Mask) -> Column:
    """For each place of a line, the access at the last chosen place before it, or NOBODY."""
    places = np.where(chosen, np.arange(len(line)), NOBODY)
    before = np.concatenate([[NOBODY], np.maximum.accumulate(places)[:-1]]) if len(line) else places
    return np.where(before == NOBODY, NOBODY, line[before])


def _previous(accesses: Accesses, line: Column, chosen: Mask) -> Column:
    """The last access of the same process that is chosen; one without an outcome orders nothing after it."""
    before = _last(line, chosen[line] & accesses.known[line])
    return np.where((before != NOBODY) & (accesses.process[before] == accesses.process[line]), before, NOBODY)


def _chain(before: Column, after: Column) -> Edges:
    there = before != NOBODY
    return Edges.of(before[there], after[there], Why.PROGRAM)


def _buffered(accesses: Accesses, model: Model) -> Mask:
    """Whether an access is by a process whose store buffer others could notice."""
    if model is Model.SEQUENTIAL:
        return np.zeros(len(accesses), dtype=np.bool_)
    hosts = accesses.history.hosts
    processes, index = np.unique(accesses.process, return_inverse=True)
    homes = [hosts.get(int(process), NOBODY) for process in processes if process != NOBODY]
    crowded = [
        process != NOBODY and (int(process) not in hosts or homes.count(hosts[int(process)]) > 1)
        for process in processes
    ]
    return np.array(crowded, dtype=np.bool_)[index]
