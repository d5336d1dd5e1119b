"""What happened in a run: to be hashed, so that two runs can be compared, and to be read when something went wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from dsm.core.types import REQUESTS_PER_EPOCH

LINES_TOLD = 60


class Story:
    """The events of a run, oldest first. They are put into words only when somebody asks."""

    def __init__(self) -> None:
        self._events: list[tuple[float, str, str, tuple[Any, ...]]] = []
        self.over = False
        """The run is over: how its daemons are stopped is no part of it."""

    def note(self, time: float, who: str, what: str, *subjects: Any) -> None:
        if not self.over:
            self._events.append((time, who, what, subjects))

    def __len__(self) -> int:
        return len(self._events)

    def subjects(self) -> Iterator[object]:
        """Every message, event and record that was noted."""
        for *_, subjects in self._events:
            yield from subjects

    def kinds(self) -> set[type]:
        """What types of messages and events there were."""
        named = [getattr(subject, "message", None) for subject in self.subjects()]
        return {type(item) for item in (*self.subjects(), *named)}

    def hash(self) -> str:
        """Return what two runs have in common only if the same things happened in them, at the same times."""
        digest = hashlib.blake2b(digest_size=8)
        for event in self._events:
            digest.update(_line(*event).encode())
        return digest.hexdigest()

    def last(self, lines: int = LINES_TOLD) -> str:
        return "\n".join(_line(*event) for event in self._events[-lines:])


def _line(time: float, who: str, what: str, subjects: tuple[Any, ...]) -> str:
    return f"{time * 1000:12.4f}  {who:<7} {what} {' '.join(map(say, subjects))}"


def say(value: object) -> str:
    """A message, event or record in few words: what has its default value is left out."""
    match value:
        case Enum():
            return value.name
        case tuple() | list():
            return f"[{', '.join(map(say, value))}]"
        case frozenset():
            return f"[{', '.join(map(say, sorted(value)))}]"
        case float():
            return f"{value:.6g}"
    if not is_dataclass(value):
        return str(value)
    words = []
    for field in fields(value):
        item = getattr(value, field.name)
        if field.name in ("request", "putting") and isinstance(item, int):
            words.append(f"{field.name}={item // REQUESTS_PER_EPOCH}.{item % REQUESTS_PER_EPOCH}")
        elif item != field.default:
            words.append(f"{field.name}={say(item)}")
    return f"{type(value).__name__}({', '.join(words)})"
