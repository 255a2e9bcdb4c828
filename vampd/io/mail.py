"""Hand one mail to an SMTP server, and tell what it said of each recipient.

After the last line of a mail was sent and before the server's answer, nobody can tell whether the
server has it (RFC 5321, 4.5.3.2.6 and 6.1): that is told as `in_doubt`, and never guessed. The
same bytes, with the same Message-ID, may then be sent again: no reader shows them twice who
compares Message-IDs.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vampd.errors import OperatorError
from vampd.io.mail_values import Answer, Delivery, SmtpServer

_FIRST_PERMANENT = 500
_GO_ON = 354
_MOST_PASSWORD_BYTES = 4096
_MOST_WORDS = 500  # characters of an answer; a server may say pages
_CUT_SECONDS = 1.0


class _RefusedError(Exception):
    """The server, or the settings, said no before any recipient was named."""

    def __init__(self, words: str, *, is_passing: bool) -> None:
        super().__init__(words)
        self.is_passing = is_passing


def deliver(content: bytes, sender: str, recipients: Sequence[str], server: SmtpServer) -> Delivery:
    """Try once to hand *content*, a whole mail, to *server* for each of *recipients*.

    Never raises for what a server, a network or a password file may do: the answer says it.
    """
    delivery = Delivery()
    try:
        with _session(server) as session:
            _transact(session, content, sender, recipients, delivery)
    except _RefusedError as error:
        delivery.problem, delivery.is_passing = f"{server}: {error}", error.is_passing
    except smtplib.SMTPResponseException as error:
        answer = _judged((error.smtp_code, error.smtp_error))
        delivery.problem = f"{server}: {answer.words}"
        delivery.is_passing = answer.verdict != "never"
    except (smtplib.SMTPException, OSError) as error:
        words = "no answer after the whole mail was sent: " if delivery.in_doubt else ""
        delivery.problem = f"{server}: {words}{_reason(error)}"
    return delivery


def probe(server: SmtpServer) -> None:
    """Connect, make it private and log in, as for a mail. OperatorError: any of it fails."""
    try:
        with _session(server) as session:
            session.noop()
    except (_RefusedError, smtplib.SMTPException, OSError) as error:
        msg = f"{server}: {_reason(error)}"
        raise OperatorError(msg) from error


def _transact(
    session: smtplib.SMTP,
    content: bytes,
    sender: str,
    recipients: Sequence[str],
    delivery: Delivery,
) -> None:
    size = [f"size={len(content)}"] if session.has_extn("size") else []
    _demand(session.mail(sender, size), f"refused the sender {sender}")
    taken = []
    for recipient in recipients:
        answer = _judged(session.rcpt(recipient))
        if answer.verdict == "accepted":
            taken.append(recipient)
        else:
            delivery.answers[recipient] = answer
    if not taken:
        return
    code, words = session.docmd("data")
    if code != _GO_ON:
        delivery.answers |= dict.fromkeys(taken, _judged((code, words)))
        return
    delivery.in_doubt = True
    session.send(_on_the_wire(content))
    final = session.getreply()
    delivery.in_doubt = False
    delivery.answers |= dict.fromkeys(taken, _judged(final))


def _on_the_wire(content: bytes) -> bytes:
    """RFC 5321, 4.1.1.4 and 4.5.2: lines end in CRLF, a dot at a line's beginning is doubled."""
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    if not text.endswith(b"\r\n"):
        text += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", text) + b".\r\n"


class _Guard:
    """Cuts a connection at the deadline, from a thread of its own, until it is dismissed.

    Each answer has its own limit, but a server may send a byte a minute for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.was_cut = False
        self._seconds = seconds
        self._session: smtplib.SMTP | None = None
        self._dismissed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def over(self, session: smtplib.SMTP) -> None:
        """Guard *session*, which may have no connection yet."""
        self._session = session

    def dismiss(self) -> None:
        """Cut nothing more."""
        self._dismissed.set()

    def _watch(self) -> None:
        # Again and again: while TLS begins, the connection changes hands.
        wait_seconds = self._seconds
        while not self._dismissed.wait(wait_seconds):
            self.was_cut, wait_seconds = True, _CUT_SECONDS
            if self._session is not None and self._session.sock is not None:
                with suppress(OSError):
                    self._session.sock.shutdown(socket.SHUT_RDWR)


class _Session(smtplib.SMTP):
    """A connection under a guard from its first byte on."""

    def __init__(self, server: SmtpServer, guard: _Guard, **more: Any) -> None:
        guard.over(self)
        # By itself smtplib asks the name service who we are, and that may take minutes.
        here = socket.gethostname()
        name = here if "." in here else "[127.0.0.1]"
        timeout = min(server.answer_seconds, server.deadline_seconds)
        super().__init__(server.host, server.port, local_hostname=name, timeout=timeout, **more)


class _TlsSession(_Session, smtplib.SMTP_SSL):
    """The same, private from the first byte on."""


@contextmanager
def _session(server: SmtpServer) -> Iterator[smtplib.SMTP]:
    """A connection that is greeted, private and logged in. _RefusedError: it cannot be had."""
    guard = _Guard(server.deadline_seconds)
    try:
        session = _connect(server, guard)
        try:
            _introduce(session, server)
            yield session
            # What was answered stays answered, whatever becomes of the farewell.
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
        finally:
            session.close()
    except socket.gaierror as error:
        # "Temporary failure in name resolution" passes; that there is no such name does not.
        never = error.errno == socket.EAI_NONAME
        raise _RefusedError(error.strerror or str(error), is_passing=not never) from error
    except ssl.SSLCertVerificationError as error:
        msg = f"its certificate is not believed: {error.verify_message}; see mail.ca_file"
        raise _RefusedError(msg, is_passing=False) from error
    except (smtplib.SMTPException, OSError) as error:
        if guard.was_cut:
            msg = f"not done within {server.deadline_seconds:g} s"
            raise smtplib.SMTPServerDisconnected(msg) from error
        raise
    finally:
        guard.dismiss()


def _connect(server: SmtpServer, guard: _Guard) -> smtplib.SMTP:
    if server.security == "tls":
        return _TlsSession(server, guard, context=_context(server))
    return _Session(server, guard)


def _introduce(session: smtplib.SMTP, server: SmtpServer) -> None:
    session.ehlo_or_helo_if_needed()
    if server.security == "starttls":
        _start_tls(session, server)
    if server.user:
        _log_in(session, server)


def _start_tls(session: smtplib.SMTP, server: SmtpServer) -> None:
    if not session.has_extn("starttls"):
        msg = "does not offer STARTTLS; set mail.security to what it does offer"
        raise _RefusedError(msg, is_passing=False)
    _demand(session.starttls(context=_context(server)), "refused STARTTLS")
    session.ehlo_or_helo_if_needed()


def _log_in(session: smtplib.SMTP, server: SmtpServer) -> None:
    try:
        session.login(server.user, _password(server.password_file))
    except smtplib.SMTPNotSupportedError as error:
        msg = "takes no password; leave mail.user empty"
        raise _RefusedError(msg, is_passing=False) from error
    except smtplib.SMTPAuthenticationError as error:
        judged = _judged((error.smtp_code, error.smtp_error))
        msg = f"refused the login of {server.user}: {judged.words}"
        raise _RefusedError(msg, is_passing=judged.verdict == "later") from error


def _password(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(_MOST_PASSWORD_BYTES).rstrip("\r\n")
    except (OSError, ValueError) as error:
        msg = f"the password's file {path} cannot be read: {_reason(error)}"
        raise _RefusedError(msg, is_passing=False) from error


def _context(server: SmtpServer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        msg = f"mail.ca_file {server.ca_file} cannot be used: {_reason(error)}"
        raise _RefusedError(msg, is_passing=False) from error


def _demand(answer: tuple[int, bytes | str], what: str) -> None:
    """Raise _RefusedError unless the server said yes."""
    judged = _judged(answer)
    if judged.verdict != "accepted":
        msg = f"{what}: {judged.words}"
        raise _RefusedError(msg, is_passing=judged.verdict == "later")


def _judged(answer: tuple[int, bytes | str]) -> Answer:
    """RFC 5321, 4.2.1: 2xx is yes, 5xx is no for ever; all else may be better next time."""
    code, words = answer
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    said = f"{code} {' '.join(text.split())}"[:_MOST_WORDS]
    if 200 <= code < 300:
        return Answer(verdict="accepted", words=said)
    return Answer(verdict="never" if code >= _FIRST_PERMANENT else "later", words=said)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:_MOST_WORDS] or type(error).__name__
