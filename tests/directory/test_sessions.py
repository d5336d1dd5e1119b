"""How a node's session begins, and how it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import grpc
import pytest

from dsm import errors
from dsm.core.membership import Member
from dsm.core.messages import GetM, GetS, Grant, Lost, ToHome
from dsm.core.types import Epoch, NodeId, RegionId, RequestId, Source
from dsm.directory.sessions import Session
from dsm.wire import rpc
from dsm.wire.directory import Caller, RegionRequest
from dsm.wire.runs import Run
from dsm.wire.session import Hello, MemberJoined, MemberLeft, Welcome, encode_hello, encode_to_home
from tests.directory.conftest import Join, running
from tests.directory.fake_node import FakeNode


async def test_a_node_that_says_hello_is_welcome(directory: str, join: Join) -> None:
    node = await join(directory, "a")
    assert (node.welcome.node, node.welcome.epoch) == (1, 1)
    assert [member.name for member in node.welcome.members] == ["a"]
    assert node.welcome.members[0].page_address == "10.0.0.1:1"


async def test_members_hear_of_each_other(directory: str, join: Join) -> None:
    first = await join(directory, "a")
    second = await join(directory, "b")
    assert [member.name for member in second.welcome.members] == ["a", "b"]
    heard = await first.heard()
    assert isinstance(heard, MemberJoined) and heard.member.name == "b"
    await second.leave()
    assert await first.heard() == MemberLeft(second.welcome.node, second.welcome.epoch)


async def test_a_second_session_of_a_name_ends_the_first(directory: str, join: Join) -> None:
    watcher = await join(directory, "w")
    first = await join(directory, "a")
    second = await join(directory, "a")
    assert second.welcome.node == first.welcome.node and second.welcome.epoch > first.welcome.epoch
    status, error = await first.failure()
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert isinstance(error, errors.SessionLost) and "own name" in error.remedy
    notices = [await watcher.heard() for _ in range(3)]
    assert [type(notice) for notice in notices] == [MemberJoined, MemberLeft, MemberJoined]
    assert [member.name for member in (await watcher.calls.status()).members] == ["w", "a"]


async def test_epochs_and_node_numbers_outlive_the_directory(tmp_path: Path, join: Join) -> None:
    store = str(tmp_path / "store")
    async with running(store) as address:
        await join(address, "a")
        before = (await join(address, "b")).welcome
    async with running(store) as address:
        after = (await join(address, "b")).welcome
    assert after.node == before.node and after.epoch > before.epoch and after.cluster == before.cluster


async def test_a_session_has_to_begin_with_hello(directory: str) -> None:
    node = FakeNode(directory, "a")
    node.welcome = Welcome(NodeId(1), Epoch(1), "", ())
    await node.say(RegionId(1), 0, GetS(RequestId(1)))
    status, error = await node.failure()
    assert status is grpc.StatusCode.INVALID_ARGUMENT and isinstance(error, errors.InvalidArgument)
    await node.leave()


@pytest.mark.parametrize("hello", [Hello("", "h:1", "h:2"), Hello("a\nb", "h:1", "h:2"), Hello("a", "", "h:2")])
async def test_a_hello_without_name_or_address_is_refused(directory: str, hello: Hello) -> None:
    node = FakeNode(directory, "a")
    await node.session.write(encode_hello(hello))
    status, error = await node.failure()
    assert status is grpc.StatusCode.INVALID_ARGUMENT and "1 to" in str(error)
    await node.leave()


async def test_a_node_of_another_protocol_is_told_what_to_do(directory: str) -> None:
    node = FakeNode(directory, "a")
    await node.session.write(encode_hello(Hello("a", "h:1", "h:2", protocol=2)))
    status, error = await node.failure()
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert isinstance(error, errors.ProtocolError) and "same version" in error.remedy
    await node.leave()


async def test_a_message_of_an_old_epoch_ends_the_session(directory: str, join: Join) -> None:
    node = await join(directory, "a")
    for message in encode_to_home(Epoch(node.welcome.epoch + 1), [Run(RegionId(1), 0, 1, GetS(RequestId(1)))]):
        await node.session.write(message)
    status, error = await node.failure()
    assert status is grpc.StatusCode.FAILED_PRECONDITION and isinstance(error, errors.SessionLost)


async def test_a_second_hello_ends_the_session(directory: str, join: Join) -> None:
    node = await join(directory, "a")
    hello = encode_hello(Hello("a", "h:1", "h:2"))
    hello.epoch = node.welcome.epoch
    await node.session.write(hello)
    status, error = await node.failure()
    assert status is grpc.StatusCode.FAILED_PRECONDITION and "second Hello" in str(error)


async def test_a_node_that_closes_its_stream_has_left_in_peace(directory: str, join: Join) -> None:
    watcher, node = await join(directory, "w"), await join(directory, "a")
    await node.session.done_writing()
    assert await node.failure() == (grpc.StatusCode.OK, None)
    assert isinstance(await watcher.heard(), MemberJoined)
    assert await watcher.heard() == MemberLeft(node.welcome.node, node.welcome.epoch)


async def test_a_call_of_an_old_epoch_is_refused(directory: str, join: Join) -> None:
    old = await join(directory, "a")
    new = await join(directory, "a")
    with pytest.raises(errors.SessionLost, match="not current") as caught:
        await new.calls.create(old.caller, RegionRequest("grid", 4096))
    assert caught.value.definite
    with pytest.raises(errors.SessionLost):
        await new.calls.open(Caller(NodeId(9), new.welcome.epoch), "grid")
    assert await new.calls.regions() == []


async def test_what_home_cannot_accept_ends_the_session_with_the_pages_record(directory: str, join: Join) -> None:
    node = await join(directory, "a")
    info, _ = await node.calls.create(node.caller, RegionRequest("grid", 1 << 20, 4096))
    request = node.request()
    await node.say(info.id, 7, GetM(request, None))
    await node.heard()
    for _ in range(2):
        await node.say(info.id, 7, GetS(node.request()))
    await node.say(info.id, 7, GetS(node.request()))
    status, error = await node.failure()
    assert status is grpc.StatusCode.FAILED_PRECONDITION and isinstance(error, errors.ProtocolError)
    assert "page 7 of region 1" in error.message and "HomePage(" in error.message


@pytest.mark.parametrize(("region", "first", "count"), [(1, 256, 1), (1, 255, 2), (1, 1 << 63, 1), (2, 0, 1)], ids=str)
async def test_a_page_that_does_not_exist_ends_the_session(
    directory: str, join: Join, region: int, first: int, count: int
) -> None:
    node = await join(directory, "a")
    await node.calls.create(node.caller, RegionRequest("grid", 1 << 20, 4096))
    await node.say(RegionId(region), first, GetS(node.request()), count)
    status, error = await node.failure()
    assert status is grpc.StatusCode.FAILED_PRECONDITION and isinstance(error, errors.ProtocolError)


async def test_a_request_number_of_somebody_else_ends_the_session(directory: str, join: Join) -> None:
    node, other = await join(directory, "a"), await join(directory, "b")
    info, _ = await node.calls.create(node.caller, RegionRequest("grid", 1 << 20, 4096))
    await node.say(info.id, 0, GetS(other.request()))
    _, error = await node.failure()
    assert isinstance(error, errors.ProtocolError) and "not a request of epoch" in error.message


async def test_others_live_on_when_a_session_ends_in_error(directory: str, join: Join) -> None:
    good, bad = await join(directory, "a"), await join(directory, "b")
    info, _ = await good.calls.create(good.caller, RegionRequest("grid", 1 << 20, 4096))
    await bad.say(info.id, 1 << 40, GetS(bad.request()))
    await bad.failure()
    request = good.request()
    await good.say(info.id, 0, GetS(request))
    assert await good.heard_about(info.id) == (0, 1, Grant(request, 0, write=False, source=Source.ZERO))


async def test_a_silent_connection_is_ended(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.directory.service.HELLO_SECONDS", 0.05)
    node = FakeNode(directory, "a")
    status, error = await node.failure()
    assert status is grpc.StatusCode.INVALID_ARGUMENT and "no Hello" in str(error)
    await node.leave()


async def test_a_node_that_lets_too_much_wait_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.directory.sessions.SESSION_QUEUE_MESSAGES_MAX", 10)
    session = Session(Member(NodeId(1), Epoch(1), "slow", "h:1", "h:2"))
    context = Context()
    async with asyncio.TaskGroup() as tasks:
        running_session = tasks.create_task(ended(session, context))
        session.tell(MemberLeft(NodeId(2), Epoch(2)))
        await context.writing.wait()
        for page in range(10):
            session.say(RegionId(1), 2 * page, 1, Lost(RequestId(1)))
        session.say(RegionId(1), 19, 50, Lost(RequestId(1)))  # joins the last run, so nothing more waits
        assert not running_session.done()
        session.say(RegionId(1), 1000, 1, Lost(RequestId(1)))
    error = running_session.result()
    assert isinstance(error, errors.LimitExceeded) and "'slow' let more than 10 messages wait" in str(error)


class Context:
    """A call whose other side neither reads nor writes."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()

    async def write(self, message: object) -> None:
        self.writing.set()
        await asyncio.Event().wait()

    async def read(self) -> object:
        return await asyncio.Event().wait()


async def ended(session: Session, context: Context) -> errors.DsmError | None:
    try:
        await session.run(cast(rpc.SessionContext, context), lambda _, run: None)
    except errors.DsmError as error:
        return error
    return None


async def test_a_cluster_takes_in_only_so_many_nodes(
    directory: str, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsm.directory.state.SESSIONS_MAX", 1)
    await join(directory, "a")
    node = FakeNode(directory, "b")
    await node.session.write(encode_hello(Hello("b", "h:1", "h:2")))
    status, error = await node.failure()
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED and isinstance(error, errors.LimitExceeded)
    await node.leave()


async def test_a_session_that_breaks_off_in_the_middle_ends_quietly(
    directory: str, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = await join(directory, "w")
    for epoch in range(2, 5):
        node = await join(directory, "a")
        info, _ = await node.calls.create(node.caller, RegionRequest("grid", 1 << 40, 4096, exist_ok=True))
        for start in range(0, 20_000, 1000):
            runs: list[Run[ToHome]] = [
                Run(info.id, start + 2 * page, 1, GetM(node.request(), None)) for page in range(500)
            ]
            for message in encode_to_home(node.welcome.epoch, runs):
                await node.session.write(message)
        await node.leave()
        while await watcher.heard() != MemberLeft(node.welcome.node, Epoch(epoch)):
            pass
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
