"""What the service tells systemd: that it is ready, that it lives, and what it logs.

Run by hand, without systemd or without systemd-python, all of it still works: notifications
go nowhere, and the log goes to stderr.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from vampd import __version__

log = logging.getLogger(__name__)

#: Of other packages, only what went wrong is of interest.
_OTHERS_LEVEL = logging.WARNING

_JOURNAL_SOCKET = Path("/run/systemd/journal/socket")


def notify(state: str) -> None:
    """Tell systemd *state*: `READY=1`, `WATCHDOG=1`, `STATUS=two nights wait`; see sd_notify(3).

    Does nothing where no service manager listens. Never fails: work does not depend on it.
    """
    if "NOTIFY_SOCKET" not in os.environ:
        return
    try:
        from systemd.daemon import notify as send
    except ImportError:
        log.warning("systemd-python is missing, so systemd cannot be told %s", state)
        return
    # The manager may be restarting; its watchdog decides what becomes of it.
    with suppress(OSError):
        send(state)


def set_up_logging(level: int = logging.INFO) -> None:
    """Send log records to the journal where stderr is connected to it, else to stderr.

    In the journal, names in capitals of a record's `extra` (NIGHT, STAGE, FILE) become fields, and
    VERSION is one of every record. On stderr, each record begins with its UTC time and the version.
    Warnings of Python's own go to the log too.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_journal_handler() or _stderr_handler())
    root.setLevel(_OTHERS_LEVEL)
    logging.getLogger("vampd").setLevel(level)
    logging.captureWarnings(capture=True)


def is_stderr_the_journal() -> bool:
    """Whether stderr is the very stream that systemd connected to the journal.

    JournalHandler drops records without a word where there is no journal; and what a service
    starts with another stderr still inherits $JOURNAL_STREAM. See systemd.exec(5).
    """
    if not _JOURNAL_SOCKET.exists():
        return False
    try:
        status = os.fstat(2)
    except OSError:  # closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _journal_handler() -> logging.Handler | None:
    if not is_stderr_the_journal():
        return None
    try:
        from systemd.journal import JournalHandler
    except ImportError:
        return None
    handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="vampd", VERSION=__version__)
    return handler


def _stderr_handler() -> logging.Handler:
    formatter = logging.Formatter(f"%(asctime)s UT vampd {__version__} %(levelname)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.default_msec_format = "%s.%03d"
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    return handler
