"""What is to be done about a page, in the imperative. Output of `cache.step` and `home.step`, carried out in order."""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.messages import Data, FromHome, ToHome
from dsm.core.types import NodeId


@dataclass(frozen=True, slots=True)
class Send:
    """Node: send this to home."""

    message: ToHome


@dataclass(frozen=True, slots=True)
class SendTo:
    """Home: send this to a node."""

    node: NodeId
    message: FromHome


@dataclass(frozen=True, slots=True)
class Supply:
    """Send the page's bytes to another node: the retained ones if there are any, else those in memory.

    Those in memory may be read when they leave: they stay as they are until the request that they answer is over. Two
    events cut that short, and what has not left by then must not leave any more: the end of the own session, since the
    memory is given back, and news that the receiver's session has ended, since nobody waits for it any longer.
    """

    to: NodeId
    data: Data


@dataclass(frozen=True, slots=True)
class Zero:
    """Make the page present and all zeros."""


@dataclass(frozen=True, slots=True)
class Protect:
    """Take write access away from every process of this host; on return the bytes are stable."""


@dataclass(frozen=True, slots=True)
class Retain:
    """Keep a copy of the bytes aside, where no process can reach it."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Take the page away from every process of this host and free its memory."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Free the copy that was retained."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Report HoldEnded when the region's hold time has passed."""


@dataclass(frozen=True, slots=True)
class Fail:
    """No copy of the page is left: tell everybody who waits for it."""


CacheEffect = Send | Supply | Zero | Protect | Retain | Drop | Forget | Hold | Fail
