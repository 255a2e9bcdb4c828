"""Messages between two processes of one machine: pickled, each behind its length.

One side never waits: what the other does not take at once stays, and is offered again.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import BinaryIO

LENGTH = struct.Struct("<Q")
_READ_BYTES = 1 << 20


def framed(message: object) -> bytes:
    """A message as it goes over the line."""
    content = pickle.dumps(message)
    return LENGTH.pack(len(content)) + content


def read_message(file: BinaryIO) -> object:
    """The next message, waited for. EOFError: the other side has ended."""
    start = file.read(LENGTH.size)
    if len(start) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(start)
    content = file.read(length)
    if len(content) < length:
        raise EOFError
    message: object = pickle.loads(content)  # noqa: S301 - of a process of ours
    return message


class Line:
    """The daemon's end: it never waits."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # noqa: FBT003 - the interface of sockets
        self.end = end
        self._said = bytearray()
        self._to_say = bytearray()
        self.is_over = False  #: the other side has ended

    def send(self, message: object) -> None:
        """Say something, as soon as the other side takes it."""
        self._to_say += framed(message)
        self.flush()

    def flush(self) -> None:
        """Offer what was not taken yet."""
        try:
            while self._to_say:
                del self._to_say[: self.end.send(self._to_say[:_READ_BYTES])]
        except BlockingIOError:
            return
        except OSError:
            self.is_over = True

    def receive(self) -> list[object]:
        """All messages that have come whole."""
        self.flush()
        self._listen()
        messages: list[object] = []
        while len(self._said) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._said)
            if len(self._said) < LENGTH.size + length:
                break
            content = bytes(memoryview(self._said)[LENGTH.size : LENGTH.size + length])
            del self._said[: LENGTH.size + length]
            messages.append(pickle.loads(content))  # noqa: S301 - of a process of ours
        return messages

    def close(self) -> None:
        """End it; the other side learns of that."""
        self.end.close()

    def _listen(self) -> None:
        try:
            while not self.is_over:
                chunk = self.end.recv(_READ_BYTES)
                self.is_over = not chunk
                self._said += chunk
        except BlockingIOError:
            return
        except OSError:
            self.is_over = True
