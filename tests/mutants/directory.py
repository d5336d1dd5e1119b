"""Faults in the directory around the step function. The simulator has to find them; what few seeds reach, a test."""

from __future__ import annotations

from tests.mutants.checks import SEEDS, TRACES, Mutant, NamedTests

PAGES, STATE, REGIONS, SESSIONS = (
    "dsm.directory.pages",
    "dsm.directory.state",
    "dsm.directory.regions",
    "dsm.directory.sessions",
)

MUTANTS = [
    Mutant(
        "home says everything twice",
        STATE,
        "            session.say(region, first, count, message)\n",
        "            session.say(region, first, count, message)\n" * 2,
        TRACES,
        "heard twice: n",
    ),
    Mutant(
        "home does not hear of the end of a session",
        STATE,
        "        self._pages.session_ended(member.node)\n",
        "        pass\n",
        SEEDS,
    ),
    Mutant(
        "home does not know who has asked for pages of a region",
        PAGES,
        "        table.nodes.add(sender)\n",
        "",
        SEEDS,
    ),
    Mutant(
        "a message about a run moves a page too many",
        PAGES,
        "        if other is not record and other != record:\n            return page\n",
        "        if other is not record and other != record:\n            return page + 1\n",
        SEEDS,
    ),
    Mutant(
        "a request of another epoch is accepted",
        STATE,
        "message.request // REQUESTS_PER_EPOCH != member.epoch:",
        "message.request < 0:",
        NamedTests("tests/directory/test_sessions.py", "somebody_else"),
    ),
    Mutant(
        "a message of another epoch is accepted",
        SESSIONS,
        "if message.epoch != self.member.epoch:",
        "if message.epoch < 0:",
        NamedTests("tests/directory/test_sessions.py", "message_of_an_old_epoch"),
    ),
    Mutant(
        "a call of an old epoch is accepted",
        STATE,
        "if member is None or member.epoch != caller.epoch:",
        "if member is None:",
        NamedTests("tests/directory/test_sessions.py", "call_of_an_old_epoch"),
    ),
    Mutant(
        "a region is not marked as written before its first page is",
        PAGES,
        "                self._mark_written(table.region)\n",
        "",
        NamedTests("tests/directory/test_pages.py", "marked_written"),
    ),
    Mutant(
        "nodes do not hear that a region is gone",
        STATE,
        "            self._sessions[node].tell(RegionGone(number))\n",
        "            pass\n",
        SEEDS,
    ),
    Mutant(
        "a region goes although somebody has it attached",
        REGIONS,
        "if region.attached or number in self._recovering or number not in self._by_id:",
        "if number in self._recovering or number not in self._by_id:",
        SEEDS,
    ),
    Mutant(
        "what a node has attached does not pass over to its next session",
        REGIONS,
        "            if region.info.id in held:\n                self._attach(node, region)\n",
        "            pass\n",
        SEEDS,
    ),
]
