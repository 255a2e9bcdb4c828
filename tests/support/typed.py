"""Commands found in what views print, typed as a person would, with and without a daemon."""

from __future__ import annotations

import html
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from click.testing import Result

from tests.support.ledger_site import Site
from vampd import __version__
from vampd.commands.names import COMMANDS, GROUPS
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.ledger.connection import open_ledger
from vampd.orders.night import Orders
from vampd.orders.socket import ControlServer
from vampd.settings.load import load
from vampd.verbs import Verb

#: What stands for a value in a command that is told.
_VALUES = {"TEXT": "because", "FIRST..LAST": "VMPA00425189..VMPA00425190"}

_ARGUMENT = re.compile(r"\d{8}(?:\.\.\d{8})?|--?[a-z-]+|[A-Z]+(?:\.\.[A-Z]+)?|vcam\d/\S+|VMPA\S+")

#: Options that a word of their own follows.
_WITH_WORD = frozenset({"--kind", "--from", "--clock"})

_SUBCOMMANDS = frozenset({"show", "adopt", "void", "skip", "used", "dismiss", "audit", "check"})


def commands_in(text: str) -> list[str]:
    """Each `vampd ...` of a text, of a screen or of a page, in order, as it would be typed."""
    plain = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())
    found = []
    for match in re.finditer(r"\bvampd (?=[a-z])", plain):
        words = _words(plain[match.end() :])
        name = " ".join(words[: 2 if words[:1] and words[0] in GROUPS else 1])
        if name in COMMANDS:
            found.append(" ".join(["vampd", *words]))
    return list(dict.fromkeys(found))


def _words(text: str) -> list[str]:
    words: list[str] = []
    for raw in text.split(" "):
        word = raw.rstrip(".,;:)`'\"?")
        is_name = len(words) < 3 and (
            word in GROUPS or " ".join([*words, word]) in COMMANDS or word in _SUBCOMMANDS
        )
        is_begun = " ".join(words[:1]) in COMMANDS or " ".join(words[:2]) in COMMANDS
        if not (is_name if not is_begun else _is_argument(words, word)):
            break
        words.append(word)
        if word != raw:
            break
    return words


def _is_argument(words: list[str], word: str) -> bool:
    if words[-1] in {"ids", "config"}:
        return word in _SUBCOMMANDS
    return words[-1] in _WITH_WORD or _ARGUMENT.fullmatch(word) is not None


def verb_of(words: str) -> Verb | None:
    """The order that a command gives; None: it only reads."""
    for verb in sorted(Verb, key=lambda verb: -len(verb)):
        name, *options = verb.split(" --")
        given = words.removeprefix("vampd ")
        if given.startswith(name) and all(f"--{each.split(' ')[0]}" in given for each in options):
            return None if _only_looks(verb, given.split()) else verb
    return None


def _only_looks(verb: Verb, given: list[str]) -> bool:
    return (verb is Verb.CLOSE and "--" in " ".join(given)) or bool({"-h", "--dry-run"} & {*given})


def arguments_of(words: str, date: str, path: str) -> list[str]:
    """What a person types for a command that is told: values for words, and -y where it asks."""
    given = [_VALUES.get(word, path if word == "FILE" else word) for word in words.split()[1:]]
    given = [date if word == "DATE" else word for word in given]
    verb = verb_of(words)
    if verb is not None and date not in given:
        given.append(date)
    if verb in {Verb.RESTORE, Verb.RESTORE_SAFE, Verb.ABANDON, Verb.REPLAN}:
        given.append("-y")
    if verb in {Verb.SEND, Verb.SEND_ANEW, Verb.UNDELETE}:
        given.append("--dry-run")  # no server is there, and no file in the trash
    return given


@contextmanager
def answering(site: Site) -> Iterator[None]:
    """While this lasts somebody holds the lock and carries orders out, as the daemon does."""
    ready, over = threading.Event(), threading.Event()

    def serve() -> None:
        config = load(site.config)
        with StateLock.acquire(config.state_dir):
            ledger = open_ledger(config.state_dir, version=__version__, clock=SystemClock())
            server = ControlServer(config.socket)
            try:
                orders = Orders(ledger, config)
                ready.set()
                while not over.wait(0.001):
                    server.serve(orders.carry_out)
            finally:
                server.close()
                ledger.close()
                ready.set()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def undone(site: Site) -> Iterator[None]:
    """Afterwards the ledger is as it was."""
    before = site.ledger.read_bytes()
    try:
        yield
    finally:
        for ending in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                site.ledger.with_name(site.ledger.name + ending).unlink()
        site.ledger.write_bytes(before)


def typed(site: Site, words: list[str], *, is_up: bool) -> Result:
    """What comes of typing it, with a daemon or without."""
    if not is_up:
        return site.run(*words)
    with answering(site):
        return site.run(*words)


def at_a_terminal(site: Site, answer: str, *words: str, **environment: str) -> tuple[int, str]:
    """Type *words* at a terminal, then *answer*; the exit status, and what the screen shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), *words]
    variables = {**os.environ, "TERM": "xterm", **environment}
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # EIO: the last of theirs is closed
            break
        shown += chunk
    os.close(ours)
    return child.wait(timeout=30), shown.decode()
