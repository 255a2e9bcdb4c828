"""A real SMTP server on the loopback, which can refuse, delay, drop, and forget to answer."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct, field

from vampd.io.mail_values import SmtpServer

#: In place of an answer: the connection is cut.
DROP = "drop"

USER, PASSWORD = "vampd", "seven stars"


class Received(Struct, frozen=True, kw_only=True):
    """What stood in one mail, and its envelope."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def mail(self) -> EmailMessage:
        found = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def attachment(self) -> bytes:
        (part,) = self.mail.iter_attachments()
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        return content

    @property
    def text(self) -> str:
        body = self.mail.get_body(("plain",))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


class PostOffice(Struct, kw_only=True):
    """What it answers, and what came. Answers are used up one by one; then all is well."""

    port: int = 0
    senders: deque[str] = field(default_factory=deque)  #: answers to MAIL
    addresses: dict[str, str] = field(default_factory=dict)  #: answers to RCPT, for ever
    contents: deque[str] = field(default_factory=deque)  #: answers to the whole mail
    may_speak: threading.Event = field(default_factory=threading.Event)  #: else it is silent
    came: threading.Event = field(default_factory=threading.Event)  #: a whole mail was received
    received: list[Received] = field(default_factory=list)  #: whole mails, whatever was answered
    accepted: list[Received] = field(default_factory=list)

    def server(self, **more: Any) -> SmtpServer:
        return SmtpServer(
            **{
                "host": "127.0.0.1",
                "port": self.port,
                "answer_seconds": 10.0,
                "deadline_seconds": 20.0,
                **more,
            }
        )

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        answer = self.senders.popleft() if self.senders else "250 OK"
        if answer == DROP:
            _drop(server)
        elif answer.startswith("2"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        answer = self.addresses.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.original_content, bytes)
        assert envelope.mail_from is not None
        received = Received(
            sender=envelope.mail_from,
            recipients=tuple(envelope.rcpt_tos),
            content=envelope.original_content,
        )
        self.received.append(received)
        self.came.set()
        await asyncio.to_thread(self.may_speak.wait)
        answer = self.contents.popleft() if self.contents else "250 OK"
        if answer == DROP:
            _drop(server)
        elif answer.startswith("2"):
            self.accepted.append(received)
        return answer

    def check_login(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _method: str, login: Any
    ) -> AuthResult:
        right = isinstance(login, LoginPassword) and (login.login, login.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=right, handled=False)


def _drop(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


@contextmanager
def post_office(**settings: Any) -> Iterator[PostOffice]:
    """Run the server; *settings* are aiosmtpd's own."""
    office = PostOffice()
    office.may_speak.set()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        office.port = probe.getsockname()[1]
    if settings.get("auth_required"):
        settings["authenticator"] = office.check_login
    controller = Controller(office, hostname="127.0.0.1", port=office.port, **settings)
    controller.start()
    try:
        yield office
    finally:
        office.may_speak.set()
        controller.stop()


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that nobody believes but who is given it; the server's context."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "3650", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
