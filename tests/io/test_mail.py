"""One mail is handed to a real SMTP server, whatever that server does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.mail_server import (
    DROP,
    PASSWORD,
    USER,
    PostOffice,
    make_certificate,
    post_office,
)
from vampd.errors import OperatorError
from vampd.io.mail import deliver, probe
from vampd.io.mail_values import Delivery, SmtpServer

FROM, TO, OTHER = "vampd@example.org", "archive@example.org", "second@example.org"
CONTENT = b"Subject: stars\r\n\r\n.a dot\r\n..two\r\nend\r\n"


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


def attempt(office: PostOffice, *recipients: str, **server: object) -> Delivery:
    return deliver(CONTENT, FROM, recipients or (TO,), office.server(**server))


def verdicts(delivery: Delivery) -> dict[str, str]:
    return {address: answer.verdict for address, answer in delivery.answers.items()}


def test_a_mail_arrives_byte_for_byte_for_all_recipients(office: PostOffice) -> None:
    delivery = attempt(office, TO, OTHER)

    assert verdicts(delivery) == {TO: "accepted", OTHER: "accepted"}
    assert (delivery.problem, delivery.in_doubt) == (None, False)
    (received,) = office.accepted
    assert received.content == CONTENT
    assert (received.sender, received.recipients) == (FROM, (TO, OTHER))


@pytest.mark.parametrize(("answer", "verdict"), [("451 busy", "later"), ("550 nobody", "never")])
def test_one_refused_recipient_keeps_it_from_no_other(
    office: PostOffice, answer: str, verdict: str
) -> None:
    office.addresses[OTHER] = answer

    delivery = attempt(office, OTHER, TO)

    assert verdicts(delivery) == {TO: "accepted", OTHER: verdict}
    assert delivery.answers[OTHER].words == answer
    assert [received.recipients for received in office.accepted] == [(TO,)]


@pytest.mark.parametrize(("answer", "verdict"), [("452 full", "later"), ("554 spam", "never")])
def test_a_refused_mail_is_refused_for_everybody(
    office: PostOffice, answer: str, verdict: str
) -> None:
    office.contents.append(answer)

    delivery = attempt(office, TO, OTHER)

    assert verdicts(delivery) == {TO: verdict, OTHER: verdict}
    assert not delivery.in_doubt


@pytest.mark.parametrize(("answer", "passing"), [("451 busy", True), ("553 who?", False)])
def test_a_refused_sender_says_whether_that_may_pass(
    office: PostOffice, answer: str, *, passing: bool
) -> None:
    office.senders.append(answer)

    delivery = attempt(office)

    assert not delivery.answers
    assert delivery.problem is not None
    assert f"refused the sender {FROM}: {answer}" in delivery.problem
    assert delivery.is_passing is passing


def test_a_connection_lost_before_the_mail_leaves_no_doubt(office: PostOffice) -> None:
    office.senders.append(DROP)

    delivery = attempt(office)

    assert delivery.problem is not None
    assert delivery.is_passing
    assert not delivery.in_doubt
    assert not office.received


def test_a_connection_lost_after_the_mail_leaves_doubt(office: PostOffice) -> None:
    office.contents.append(DROP)

    delivery = attempt(office)

    assert delivery.in_doubt
    assert delivery.problem is not None
    assert "no answer after the whole mail was sent" in delivery.problem
    assert [received.content for received in office.received] == [CONTENT]


def test_a_server_that_never_answers_is_given_up_in_time(office: PostOffice) -> None:
    office.may_speak.clear()
    began = time.monotonic()

    delivery = attempt(office, answer_seconds=0.3)

    assert delivery.in_doubt
    assert time.monotonic() - began < 5


@contextmanager
def _drip() -> Iterator[SmtpServer]:
    """A server that greets for ever, a byte at a time: each comes long before its own limit."""
    stop = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"220")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"-")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=[listening])
        thread.start()
        port = listening.getsockname()[1]
        yield SmtpServer(host="127.0.0.1", port=port, answer_seconds=5, deadline_seconds=0.5)
        stop.set()
        thread.join()


def test_a_server_that_answers_a_byte_at_a_time_is_given_up_in_time() -> None:
    began = time.monotonic()

    with _drip() as server:
        delivery = deliver(CONTENT, FROM, [TO], server)

    assert delivery.problem is not None
    assert "not done within 0.5 s" in delivery.problem
    assert delivery.is_passing
    assert time.monotonic() - began < 5


def test_nobody_listening_may_pass() -> None:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        port = probe_socket.getsockname()[1]

    delivery = deliver(CONTENT, FROM, [TO], SmtpServer(host="127.0.0.1", port=port))

    assert delivery.problem == f"127.0.0.1:{port}: Connection refused"
    assert delivery.is_passing


# The server does not see that its connection is private from the first byte on.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_with_its_certificate_a_private_server_takes_the_password(
    tmp_path: Path, security: str
) -> None:
    certificate, context = make_certificate(tmp_path)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    more = {"tls_context" if security == "starttls" else "ssl_context": context}
    if security == "tls":
        more["auth_require_tls"] = False  # type: ignore[assignment]

    with post_office(auth_required=True, **more) as office:
        delivery = attempt(
            office,
            security=security,
            ca_file=str(certificate),
            user=USER,
            password_file=str(tmp_path / "password"),
        )

    assert verdicts(delivery) == {TO: "accepted"}


def test_a_certificate_that_nobody_signed_stops_it_before_a_word_is_said(tmp_path: Path) -> None:
    _, context = make_certificate(tmp_path)

    with post_office(tls_context=context) as office:
        delivery = attempt(office, security="starttls")

    assert delivery.problem is not None
    assert "its certificate is not believed" in delivery.problem
    assert not delivery.is_passing
    assert not office.received


def test_a_server_without_starttls_is_not_told_anything(office: PostOffice) -> None:
    delivery = attempt(office, security="starttls")

    assert delivery.problem is not None
    assert "does not offer STARTTLS" in delivery.problem
    assert not delivery.is_passing
    assert not office.received


@pytest.mark.parametrize(
    ("password", "said"),
    [("wrong", "refused the login of vampd: 535"), (None, "cannot be read: No such file")],
)
def test_a_wrong_or_missing_password_wants_an_operator(
    tmp_path: Path, password: str | None, said: str
) -> None:
    certificate, context = make_certificate(tmp_path)
    path = tmp_path / "password"
    if password is not None:
        path.write_text(password)

    with post_office(auth_required=True, tls_context=context) as office:
        delivery = attempt(
            office,
            security="starttls",
            ca_file=str(certificate),
            user=USER,
            password_file=str(path),
        )

    assert delivery.problem is not None
    assert said in delivery.problem
    assert not delivery.is_passing


def test_a_probe_sends_nothing(office: PostOffice) -> None:
    probe(office.server())

    assert not office.received


def test_a_probe_says_what_is_wrong(office: PostOffice) -> None:
    with pytest.raises(OperatorError, match="does not offer STARTTLS"):
        probe(office.server(security="starttls"))
