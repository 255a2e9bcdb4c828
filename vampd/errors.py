"""What can go wrong, named after who must act.

    VampdError                     exit 1
    |-- UsageError                 exit 64  the command line is wrong
    |-- ConfigError                exit 78  the configuration is wrong
    |-- DaemonUnreachableError     exit 69  a command needs the running daemon
    |-- OperatorError              exit 1   the same work fails again until a person acts
    |   `-- LostLedgerError        exit 78  there was a ledger, and nothing may begin without it
    |-- RetryableError             exit 75  may succeed later, without anyone acting
    |   |-- ResourceError          exit 75  space or memory is short here; no attempt counted
    |   `-- FarDiskError           exit 75  the far disk is not there, or another one
    |-- InputError                 exit 1   one raw file is bad; everything else goes on
    |-- AmbiguousError             exit 1   nobody can tell what happened; held
    `-- IntegrityError             exit 1   bytes are not what they were; held, with an alarm
        `-- NotPlainError          exit 1   a link or a pipe lies where a file or folder belongs

Each class carries the error class that the scheduler acts upon, so that an error
crosses the pipe from a worker as a few words: its class, its code if it has one, and its message.
"""

from __future__ import annotations

import errno
from typing import Any, Self

from vampd.states import ErrorClass, ErrorCode


class VampdError(Exception):
    """Base of all errors that vampd raises on purpose."""

    exit_code = 1
    error_class = ErrorClass.DETERMINISTIC

    #: More than the class says, where that is known.
    code: ErrorCode | None = None

    #: What was done before it went wrong, as plain values, for the ledger to keep.
    progress: Any = None

    def coded(self, code: ErrorCode | None) -> Self:
        """The error itself, of which *code* tells more."""
        self.code = code or self.code
        return self

    def about(self, what: str) -> Self:
        """The same error with *what* it was about before its words."""
        return type(self)(f"{what}: {self}").coded(self.code)


class UsageError(VampdError):
    """The command line asks for something that does not exist."""

    exit_code = 64


class ConfigError(VampdError):
    """The configuration file cannot be used; the message lists every problem."""

    exit_code = 78


class DaemonUnreachableError(VampdError):
    """The daemon runs but does not answer."""

    exit_code = 69


class OperatorError(VampdError):
    """The same work will fail again until a person acts."""


class LostLedgerError(OperatorError):
    """There was a ledger, and it is gone: to begin anew would deal frame IDs a second time."""

    exit_code = 78


class RetryableError(VampdError):
    """The same work may succeed later, without anyone acting."""

    exit_code = 75
    error_class = ErrorClass.TRANSIENT


class ResourceError(RetryableError):
    """Space, memory or file descriptors are short on this machine."""

    error_class = ErrorClass.RESOURCE


class FarDiskError(RetryableError):
    """The far folder does not lie on the disk to which nights were delivered."""

    code = ErrorCode.FAR_DISK


class InputError(VampdError):
    """One raw file is bad. *path* names it, relative to its night."""

    error_class = ErrorClass.INPUT

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class AmbiguousError(VampdError):
    """Something irreversible may or may not have happened; a person must decide."""

    error_class = ErrorClass.AMBIGUOUS


class IntegrityError(VampdError):
    """Bytes are not what they were recorded to be."""

    error_class = ErrorClass.INTEGRITY


class NotPlainError(IntegrityError, OSError):
    """A symbolic link, a pipe, a device lies below a root, where a file or a folder belongs.

    It is an OSError too, for whoever goes on when one of many files cannot be read. *found* says
    what lies at *path*, in words.
    """

    code = ErrorCode.NOT_PLAIN

    def __init__(self, path: str, found: str) -> None:
        super().__init__(errno.ELOOP, f"{path} is {found}", path)

    def __str__(self) -> str:
        return str(self.strerror)
