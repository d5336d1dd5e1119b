"""The session with a directory that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from dsm.core.messages import Ack, FromHome, Inv
from dsm.core.types import Epoch, NodeId, RegionId, RequestId
from dsm.node import session
from dsm.node.session import DirectorySession
from dsm.wire import rpc
from dsm.wire.runs import Run
from dsm.wire.session import (
    Hello,
    Notice,
    RegionGone,
    ToHomeMessage,
    Welcome,
    encode_from_home,
    encode_notice,
)
from tests.node.fakes import until

Script = Callable[[int, rpc.SessionContext], Awaitable[None]]
ONE = RegionId(1)
INV = Inv(RequestId(5), None, False)


class Home:
    """The node of a session: keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.refuse: Exception | None = None

    def hello(self) -> Hello:
        return Hello("n", "127.0.0.1:1", "127.0.0.1:2", "1")

    def joined_as(self, welcome: Welcome) -> None:
        self.heard.append(("joined", welcome.epoch))
        if self.refuse is not None:
            raise self.refuse

    def noticed(self, notice: Notice) -> None:
        self.heard.append(notice)

    def home_said(self, run: Run[FromHome]) -> None:
        self.heard.append(run)

    def session_ended(self) -> None:
        self.heard.append("ended")


class Directory:
    """Runs the script with the number of the session, which is its epoch too."""

    def __init__(self) -> None:
        self.script: Script
        self.sessions = 0
        self.messages: list[ToHomeMessage] = []

    async def Session(self, requests: AsyncIterator[ToHomeMessage], context: rpc.SessionContext, /) -> None:  # noqa: N802
        self.sessions += 1
        number = self.sessions

        async def listen() -> None:
            async for message in requests:
                self.messages.append(message)

        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(listen())
            await self.script(number, context)
            listening.cancel()


class Scene:
    def __init__(self, home: Home, directory: Directory, session: DirectorySession) -> None:
        self.home = home
        self.directory = directory
        self.session = session


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(session, "RECONNECT_SECONDS_MAX", 0.1)
    server, directory, home = rpc.server(), Directory(), Home()
    rpc.add_session(server, directory)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with rpc.channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as tasks:
        made = DirectorySession(home, channel, f"127.0.0.1:{port}")

        async def run() -> None:
            await until(lambda: hasattr(directory, "script"))
            await made.run()

        running = tasks.create_task(run())
        yield Scene(home, directory, made)
        running.cancel()
    await server.stop(None)


async def welcome(number: int, context: rpc.SessionContext) -> None:
    await context.write(encode_notice(Epoch(number), Welcome(NodeId(1), Epoch(number), "c", ())))


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_session_joins_hears_and_says(scene: Scene) -> None:
    async def script(number: int, context: rpc.SessionContext) -> None:
        await welcome(number, context)
        for message in encode_from_home(Epoch(number), [Run(ONE, 0, 3, INV)]):
            await context.write(message)
        await for_ever()

    scene.directory.script = script
    await until(lambda: len(scene.home.heard) == 2)
    assert scene.home.heard == [("joined", 1), Run(ONE, 0, 3, INV)]
    for index in range(3):
        scene.session.send(ONE, index, Ack(RequestId(5)))
    await until(lambda: len(scene.directory.messages) == 2)
    hello, acks = scene.directory.messages
    assert hello.hello.name == "n" and acks.epoch == 1
    assert [(run.first, run.count) for run in acks.pages.runs] == [(0, 3)], "one turn of the loop, one run"


@pytest.mark.parametrize("code", [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
async def test_a_session_that_ends_is_followed_by_another(scene: Scene, code: grpc.StatusCode | None) -> None:
    async def script(number: int, context: rpc.SessionContext) -> None:
        await welcome(number, context)
        await until(lambda: scene.home.heard)  # gRPC lets a status overtake a message that nobody has read
        if number == 1 and code is not None:
            await context.abort(code, "because")
        if number > 1:
            await for_ever()

    scene.directory.script = script
    await until(lambda: len(scene.home.heard) == 3)
    assert scene.home.heard == [("joined", 1), "ended", ("joined", 2)]


async def test_a_message_of_another_epoch_ends_the_session(scene: Scene) -> None:
    async def script(number: int, context: rpc.SessionContext) -> None:
        await welcome(number, context)
        if number == 1:
            await context.write(encode_notice(Epoch(9), RegionGone(ONE)))
        await for_ever()

    scene.directory.script = script
    await until(lambda: len(scene.home.heard) == 3)
    assert scene.home.heard == [("joined", 1), "ended", ("joined", 2)]


async def test_a_directory_that_does_not_say_welcome_is_asked_again(scene: Scene) -> None:
    async def script(number: int, context: rpc.SessionContext) -> None:
        if number == 1:
            await context.write(encode_notice(Epoch(1), RegionGone(ONE)))
        else:
            await welcome(number, context)
        await for_ever()

    scene.directory.script = script
    await until(lambda: scene.home.heard)
    assert scene.home.heard == [("joined", 2)] and "answers Hello with" in scene.session.last_error


async def test_what_is_said_between_sessions_is_not_said_in_the_next(scene: Scene) -> None:
    scene.session.send(ONE, 0, Ack(RequestId(1)))

    async def script(number: int, context: rpc.SessionContext) -> None:
        await welcome(number, context)
        await for_ever()

    scene.directory.script = script
    await until(lambda: scene.home.heard)
    scene.session.send(ONE, 1, Ack(RequestId(2)))
    await until(lambda: len(scene.directory.messages) == 2)
    (run,) = scene.directory.messages[1].pages.runs
    assert (run.first, run.ack.request) == (1, 2)


async def test_a_node_that_says_too_much_ends_its_session(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SESSION_QUEUE_MESSAGES_MAX", 10)

    async def script(number: int, context: rpc.SessionContext) -> None:
        await welcome(number, context)
        await for_ever()

    scene.directory.script = script
    await until(lambda: scene.home.heard)
    for index in range(20):
        scene.session.send(ONE, index, Ack(RequestId(1)))
    await until(lambda: len(scene.home.heard) == 3)
    assert scene.home.heard[1:] == ["ended", ("joined", 2)]
