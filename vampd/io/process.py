"""Run other programs: a list, never a shell string; always a deadline; nothing left behind."""

from __future__ import annotations

import errno
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

from msgspec import Struct

from vampd.errors import OperatorError, ResourceError, RetryableError
from vampd.states import ErrorCode

_PACKAGES = {
    "dd": "coreutils",
    "fpack": "libcfitsio-bin",
    "funpack": "libcfitsio-bin",
    "rsync": "rsync",
    "setpriv": "util-linux",
    "sh": "dash",
    "sha256sum": "coreutils",
    "ssh": "openssh-client",
    "xargs": "findutils",
}

#: A program that was told to end has this long to tidy up before it is killed.
_GRACE_SECONDS = 5.0

#: A child's child may inherit our pipes and outlive it (an ssh master does).
#: What it holds open is read no longer than this after the child itself has ended.
_DRAIN_SECONDS = 1.0

_CHUNK_BYTES = 1 << 16
_SHORT_OF = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})

# setpriv (util-linux) asks the kernel to kill the program when we die, then becomes the
# program. Code of ours between fork and exec could deadlock where there are threads.
_DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class Finished(Struct, frozen=True, kw_only=True):
    """A program that ended by itself; *code* is minus the signal where one ended it."""

    code: int
    stdout: bytes
    stderr_tail: str  #: its last words, safe to print


class _Deadlines:
    """When to give up: after *total_seconds*, or *idle_seconds* without a byte."""

    def __init__(self, program: str, total_seconds: float, idle_seconds: float | None) -> None:
        self.program = program
        self.total_seconds = total_seconds
        self.idle_seconds = idle_seconds
        self._started = self._heard = time.monotonic()

    def heard(self) -> None:
        self._heard = time.monotonic()

    def remaining_seconds(self) -> float:
        """Seconds until the nearer deadline. Raises RetryableError when one has passed."""
        now = time.monotonic()
        total = self._started + self.total_seconds - now
        if total <= 0:
            msg = f"{self.program} was ended: not done after {self.total_seconds:.1f} s"
            raise RetryableError(msg)
        if self.idle_seconds is None:
            return total
        idle = self._heard + self.idle_seconds - now
        if idle <= 0:
            msg = f"{self.program} was ended: silent for {self.idle_seconds:.1f} s"
            raise RetryableError(msg)
        return min(total, idle)


class _Bounded:
    """Standard output: kept up to a limit, or cut into lines for *on_line* and forgotten."""

    def __init__(
        self, program: str, limit_bytes: int, on_line: Callable[[bytes], None] | None
    ) -> None:
        self.program = program
        self.limit_bytes = limit_bytes
        self.on_line = on_line
        self.kept = bytearray()

    def take(self, chunk: bytes) -> None:
        """Add *chunk*. Raises OperatorError when more is kept than the limit allows."""
        self.kept += chunk
        if self.on_line is not None:
            *lines, rest = re.split(rb"[\r\n]", self.kept)
            self.kept = bytearray(rest)
            for line in filter(None, lines):
                self.on_line(bytes(line))
        if len(self.kept) > self.limit_bytes:
            msg = f"{self.program} was ended: it wrote more than {self.limit_bytes} bytes"
            raise OperatorError(msg)

    def finish(self) -> bytes:
        """What was kept; a last line without its end goes to *on_line*."""
        if self.on_line is not None and self.kept:
            self.on_line(bytes(self.kept))
            return b""
        return bytes(self.kept)


class _Conversation:
    """Feeds a child's standard input and listens to its two outputs until it has ended."""

    def __init__(
        self, child: subprocess.Popen[bytes], stdin: bytes, stdout: _Bounded, stderr_bytes: int
    ) -> None:
        self.child = child
        self.unsent = memoryview(stdin)
        self.stdout = stdout
        self.stderr_bytes = stderr_bytes
        self.stderr = bytearray()
        self.selector = selectors.DefaultSelector()
        self.exit_fd = os.pidfd_open(child.pid)
        self.ended_at: float | None = None

    def hold(self, deadlines: _Deadlines) -> None:
        """Exchange bytes until the child has ended and its pipes are empty.

        The child is not reaped, so its number still names its process group afterwards.
        """
        self._register()
        while self.selector.get_map():
            wait = deadlines.remaining_seconds()
            if self.ended_at is not None:
                wait = min(wait, self.ended_at + _DRAIN_SECONDS - time.monotonic())
                if wait <= 0:
                    return
            for key, _ in self.selector.select(wait):
                key.data(key.fileobj)
                deadlines.heard()

    def close(self) -> None:
        self.selector.close()
        os.close(self.exit_fd)
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was not sent cannot be flushed either
                    pipe.close()

    def _register(self) -> None:
        self.selector.register(self.exit_fd, selectors.EVENT_READ, self._on_exit)
        for pipe, event, handler in (
            (self.child.stdin, selectors.EVENT_WRITE, self._on_writable),
            (self.child.stdout, selectors.EVENT_READ, self._on_stdout),
            (self.child.stderr, selectors.EVENT_READ, self._on_stderr),
        ):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self.selector.register(pipe, event, handler)

    def _on_exit(self, _: int) -> None:
        self.selector.unregister(self.exit_fd)
        self.ended_at = time.monotonic()

    def _on_writable(self, pipe: IO[bytes]) -> None:
        try:
            sent = os.write(pipe.fileno(), self.unsent[:_CHUNK_BYTES]) if self.unsent else 0
        except BrokenPipeError:
            sent = len(self.unsent)  # it wants no more: its exit status will tell
        self.unsent = self.unsent[sent:]
        if not self.unsent:
            self.selector.unregister(pipe)
            pipe.close()

    def _on_stdout(self, pipe: IO[bytes]) -> None:
        self.stdout.take(self._read(pipe))

    def _on_stderr(self, pipe: IO[bytes]) -> None:
        self.stderr += self._read(pipe)
        if len(self.stderr) > self.stderr_bytes:
            del self.stderr[: -self.stderr_bytes]
            end = self.stderr.find(b"\n") + 1
            if 0 < end < len(self.stderr):  # no line is told without its beginning
                del self.stderr[:end]

    def _read(self, pipe: IO[bytes]) -> bytes:
        chunk = os.read(pipe.fileno(), _CHUNK_BYTES)
        if not chunk:
            self.selector.unregister(pipe)
        return chunk


def run(
    command: Sequence[str],
    *,
    deadline_seconds: float,
    idle_seconds: float | None = None,
    stdin: bytes = b"",
    on_line: Callable[[bytes], None] | None = None,
    stdout_limit_bytes: int = 16 << 20,
    stderr_limit_bytes: int = 8 << 10,
    lend: Sequence[int] = (),
) -> Finished:
    """Run *command* to its end and return its exit status with what it said.

    It speaks English (LC_ALL=C), has no terminal, leads its own process group and dies
    with us. With *on_line*, standard output is handed over line by line (a carriage
    return ends one too) and not kept. Of standard error the last bytes are kept. It inherits the
    descriptors *lend*, and no others.

    RetryableError: a deadline passed; the whole group was ended. OperatorError: the
    program is not installed, or wrote more than *stdout_limit_bytes* to be kept.
    ResourceError: this machine has no room for another process.
    """
    program = command[0]
    deadlines = _Deadlines(program, deadline_seconds, idle_seconds)
    output = _Bounded(program, stdout_limit_bytes, on_line)
    child = _start(command, lend)
    talk = _Conversation(child, stdin, output, stderr_limit_bytes)
    try:
        talk.hold(deadlines)
    except RetryableError as error:
        _end(child, talk.exit_fd)
        msg = f"{error}\n{printable(talk.stderr)}".rstrip()
        raise RetryableError(msg) from None
    finally:
        _end(child, talk.exit_fd)
        talk.close()
    return Finished(
        code=child.returncode, stdout=output.finish(), stderr_tail=printable(talk.stderr)
    )


def printable(text: bytes | bytearray) -> str:
    """*text* for a terminal or a log: control characters but newlines become '?'."""
    decoded = bytes(text).decode("utf-8", errors="replace").replace("\r\n", "\n")
    return re.sub(r"[^\n\t\x20-\x7e\u00a0-\uffff]", "?", decoded).strip()


def _start(command: Sequence[str], lend: Sequence[int]) -> subprocess.Popen[bytes]:
    for program in (command[0], _DIE_WITH_US[0]):
        if shutil.which(program) is None:
            package = _PACKAGES.get(program)
            advice = f" (Debian package {package})" if package else ""
            msg = f"{program} is not installed here{advice}"
            raise OperatorError(msg).coded(ErrorCode.NO_PROGRAM)
    try:
        return subprocess.Popen(
            [*_DIE_WITH_US, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"LC_ALL": "C"},
            start_new_session=True,
            pass_fds=lend,
        )
    except OSError as error:
        msg = f"{command[0]} could not be started: {error}"
        raise (ResourceError if error.errno in _SHORT_OF else OperatorError)(msg) from error


def _end(child: subprocess.Popen[bytes], exit_fd: int) -> None:
    """Leave no process of the child's group behind, and reap the child.

    The group is signalled only while the child is not reaped: its number cannot have
    gone to somebody else meanwhile.
    """
    if child.returncode is not None:
        return
    if not _exited(exit_fd, 0):
        _signal_group(child.pid, signal.SIGTERM)
        _exited(exit_fd, _GRACE_SECONDS)
    _signal_group(child.pid, signal.SIGKILL)
    # A process in uninterruptible sleep (a dead disk or NFS server) outlives SIGKILL;
    # waiting for it would hang us as well.
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=_GRACE_SECONDS)


def _exited(exit_fd: int, wait_seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(exit_fd, selectors.EVENT_READ)
        return bool(selector.select(wait_seconds))


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
