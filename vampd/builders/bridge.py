"""`python -m vampd.builders.bridge FD ADDRESS`: the daemon's way to Dask, in a process of its own.

Here alone Dask is loaded. The daemon never waits for it: what happens over there comes as messages,
and a bridge that falls silent is killed, and another one begun.

1. The scheduler is asked twice a second who its workers are. One that does not answer, or another
   one under its address, is away: then all pieces have ended, and it is tried again.
2. A worker that is new, and each again after a while, is asked what it is: see `card`.
3. A piece goes to the one worker that the daemon chose, and to no other, and Dask tries nothing
   again. When that worker leaves, the piece has ended.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import sys
import warnings
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from distributed import Client as _Client

from vampd.builders import piece as builder
from vampd.builders.card import Card, Question
from vampd.builders.line import LENGTH, framed
from vampd.builders.messages import Alive, Ask, Ended, Introduced, LeaveOff, Left, Piece

#: Of Dask's own, which has no types that help: here it is asynchronous throughout.
Client: Any = _Client

_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 15.0
_INTRODUCTION_SECONDS = 60.0
_ASK_AGAIN_SECONDS = 30.0
_AGAIN_SECONDS = 2.0
_BEAT_SECONDS = 1.0
_GRACE_SECONDS = 30.0  # after which a builder that should have given a piece up is not waited for


class Bridge:
    """All that goes on here; *writer* leads to the daemon."""

    def __init__(self, address: str, writer: asyncio.StreamWriter) -> None:
        self._address = address
        self._writer = writer
        self._client: Any = None
        self._question: Question | None = None
        self._away: str | None = "nobody was asked so far"
        self._is_looking = True
        self._asked_at: dict[str, float] = {}  #: by worker, on the loop's clock
        self._pieces: dict[int, tuple[Piece, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Until the daemon has ended."""
        self._begin(self._beat())
        self._begin(self._stay_connected())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                self._take(pickle.loads(await reader.readexactly(length)))  # noqa: S301 - the daemon's

    def _take(self, message: object) -> None:
        match message:
            case Ask(question=question):
                self._question = question
                self._asked_at.clear()
            case Piece():
                task = self._begin(self._do(message))
                self._pieces[message.key] = (message, task)
            case LeaveOff(key=key) if key in self._pieces:
                piece, task = self._pieces.pop(key)
                task.cancel()
                self._begin(self._leave_off(piece))

    def _say(self, message: object) -> None:
        self._writer.write(framed(message))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _beat(self) -> None:
        while True:
            self._tell_state()
            await asyncio.sleep(_BEAT_SECONDS)

    def _tell_state(self) -> None:
        self._say(Alive(away=self._away, is_looking=self._is_looking))

    async def _stay_connected(self) -> None:
        while True:
            client: Any = None
            try:
                client = Client(
                    self._address, asynchronous=True, timeout=_ANSWER_SECONDS, set_as_default=False
                )
                await asyncio.wait_for(client, _ANSWER_SECONDS)
                await self._watch(client)
            except Exception as error:  # noqa: BLE001 - whatever Dask raises: it is away
                self._lose_all(_words(error))
            self._client = None
            if client is not None:
                with suppress(Exception):
                    await asyncio.wait_for(client.close(), _ANSWER_SECONDS)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _watch(self, client: Any) -> None:
        """Look who is there until nobody answers, which is raised."""
        known: str | None = None
        while True:
            found = await asyncio.wait_for(client.scheduler.identity(), _ANSWER_SECONDS)
            if known not in {None, found["id"]}:
                msg = "another scheduler has its address now"
                raise ConnectionError(msg)
            known, self._client = found["id"], client
            if self._away is not None:
                self._away, self._is_looking = None, False
                self._tell_state()
            self._notice({address: str(each["name"]) for address, each in found["workers"].items()})
            await asyncio.sleep(_LOOK_SECONDS)

    def _notice(self, names: dict[str, str]) -> None:
        now = asyncio.get_running_loop().time()
        for address in list(self._asked_at.keys() - names.keys()):
            self._lose(address)
        for address, name in names.items():
            if (
                self._question is None
                or now - self._asked_at.get(address, -1e9) < _ASK_AGAIN_SECONDS
            ):
                continue
            self._asked_at[address] = now
            self._begin(self._introduce(address, name, self._question))

    def _lose(self, address: str) -> None:
        del self._asked_at[address]
        self._say(Left(address=address))
        for key, (piece, task) in list(self._pieces.items()):
            if piece.address == address:
                task.cancel()
                self._end(key, None, "its builder is not there any more")

    def _lose_all(self, why: str) -> None:
        self._away, self._is_looking = why, False
        self._tell_state()
        for address in list(self._asked_at):
            self._lose(address)
        for key, (_, task) in list(self._pieces.items()):
            task.cancel()
            self._end(key, None, f"the scheduler is away: {why}")

    async def _introduce(self, address: str, name: str, question: Question) -> None:
        card: Card | None = None
        problem = ""
        try:
            assert self._client is not None
            asked = self._client.run(builder.introduce, pickle.dumps(question), workers=[address])
            answers = await asyncio.wait_for(asked, _INTRODUCTION_SECONDS)
            card = pickle.loads(answers[address])  # noqa: S301 - whoever reaches Dask runs code
        except Exception as error:  # noqa: BLE001 - a builder of whatever making
            problem = _words(error)
        if address in self._asked_at:
            self._say(Introduced(address=address, name=name, card=card, problem=problem))

    async def _do(self, piece: Piece) -> None:
        outcome: bytes | None = None
        problem = ""
        client = self._client
        if client is None:
            self._end(piece.key, None, f"the scheduler is away: {self._away}")
            return
        future = client.submit(
            builder.do_piece,
            piece.process,
            piece.token,
            piece.work,
            piece.seconds,
            key=f"vampd-{piece.token}",
            workers=[piece.address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        try:
            outcome = await asyncio.wait_for(future.result(), piece.seconds + _GRACE_SECONDS)
        except TimeoutError:
            problem = f"it did not end in {piece.seconds:g} s, and its builder does not end it"
            self._begin(self._leave_off(piece))
        except Exception as error:  # noqa: BLE001 - whatever Dask makes of a builder's death
            problem = _words(error)
        finally:
            future.release()
        self._end(piece.key, outcome, problem)

    def _end(self, key: int, outcome: bytes | None, problem: str) -> None:
        if self._pieces.pop(key, None) is not None:
            self._say(Ended(key=key, outcome=outcome, problem=problem))

    async def _leave_off(self, piece: Piece) -> None:
        with suppress(Exception):
            assert self._client is not None
            told = self._client.run(builder.leave_off, piece.token, workers=[piece.address])
            await asyncio.wait_for(told, _ANSWER_SECONDS)


def _words(error: BaseException) -> str:
    told = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
    return told.removesuffix(":")


async def serve(descriptor: int, address: str) -> None:
    """Serve the daemon at the other end of *descriptor*."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    await Bridge(address, writer).serve(reader)


def main() -> int:
    """Until the daemon has ended."""
    # Whatever it has to say of lost connections is told by the daemon, in a line each.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with suppress(asyncio.CancelledError):
        asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
