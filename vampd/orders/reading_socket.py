"""Processes that read the ledger for users who may not open it: one a reading command."""

from __future__ import annotations

import logging
import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

from vampd.io.unix_socket import listen
from vampd.ledger.asking import READER_SECONDS
from vampd.ledger.serving import serve

log = logging.getLogger(__name__)

#: So many at once; who comes then is sent away, and tries again.
_MOST = 8


class ReadingServer:
    """The socket for reading commands. The daemon itself reads not a byte of what they say.

    Each has a process, which ends by itself after a while; see `vampd.ledger.serving`.
    """

    def __init__(self, path: Path, group: str, state_directory: Path) -> None:
        self._path = path
        self._state_directory = state_directory
        self._socket = listen(path, group)
        self._socket.setblocking(False)  # noqa: FBT003 - its only argument
        self._context = multiprocessing.get_context("forkserver")
        self._readers: list[BaseProcess] = []

    def fileno(self) -> int:
        """What becomes readable when a client is there."""
        return self._socket.fileno()

    def serve(self) -> None:
        """Give a process to each client that is there, while there are not too many."""
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                if len(self._readers) >= _MOST:
                    continue  # hung up: "try again"
                connection.setblocking(True)  # noqa: FBT003 - its only argument
                reader = self._context.Process(
                    target=serve,
                    args=(connection, str(self._state_directory), READER_SECONDS),
                    daemon=True,
                )
                try:
                    reader.start()
                except (OSError, EOFError) as error:  # the fork server is gone
                    log.warning("a reading command gets no answer: %s", error)
                    continue
                self._readers.append(reader)

    def close(self) -> None:
        """Stop listening, and end who reads."""
        self._socket.close()
        self._path.unlink(missing_ok=True)
        for reader in self._readers:
            reader.kill()
            reader.join()
