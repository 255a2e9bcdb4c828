"""`manifest` prints, shows the mail, sends it with and without a daemon; `ack` keeps the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site
from tests.support.mail_server import PostOffice, post_office
from tests.support.typed import at_a_terminal
from vampd.errors import OperatorError, RetryableError, UsageError
from vampd.states import Kind

_MANIFEST = ("archive", "manifest", "20251106")


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def site(tmp_path: Path, office: PostOffice) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    with site.config.open("a") as settings:
        settings.write(
            f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\nsender = "vampd@example.org"\n'
            'recipients = ["archive@example.org"]\ndata_host = "scexao5"\n'
        )
    return site


def delivered(site: Site, date: str, frame_id: str) -> bytes:
    """A safe archive night; returns its manifest."""
    night = site.night(date, "safe")
    site.stages(night, Kind.ARCHIVE, None)
    content = f"{frame_id}|{site.folder}/archive/{date}/vgen2/{frame_id}.fits.fz|2880\n".encode()
    name = f"manifest_VMP_{date}.csv"
    (site.folder / "archive" / date / name).write_bytes(content)
    site.insert(
        "deliverable",
        night=night,
        path=name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        verified_us=NOW_US,
        verdict="verified",
    )
    return content


def test_the_manifest_is_printed_as_it_was_delivered(site: Site) -> None:
    first = delivered(site, "20251105", "VMPA00000001")
    second = delivered(site, "20251106", "VMPA00000002")

    assert site.said("archive", "manifest", "20251106").encode() == second
    assert site.said("archive", "manifest", "20251105..20251106").encode() == first + second


def test_a_night_without_a_manifest_says_so(site: Site) -> None:
    site.night("20251106", "running")

    result = site.run("archive", "manifest", "20251106")

    assert isinstance(result.exception, OperatorError)
    assert "has no manifest (yet): see vampd show 20251106" in str(result.exception)


def test_where_a_date_has_both_kinds_the_archive_night_is_meant(site: Site) -> None:
    content = delivered(site, "20251106", "VMPA00000001")
    site.night("20251106", "safe", kind=Kind.ENGINEERING)

    assert site.said("archive", "manifest", "20251106").encode() == content


def test_status_says_which_nights_wait_for_the_word_to_be_mailed(
    site: Site, office: PostOffice
) -> None:
    for date, frame_id in (("20251105", "VMPA00000001"), ("20251106", "VMPA00000002")):
        delivered(site, date, frame_id)

    both = site.said("status")
    site.said("archive", "manifest", "20251105..20251106", "--send", "-y")

    assert "archive is not told yet:\n  vampd archive manifest 20251105..20251106 --send" in both
    assert "is not told yet" not in site.said("status")
    assert len(office.accepted) == 1


def test_the_mail_is_shown_as_its_reader_sees_it_and_not_sent(
    site: Site, office: PostOffice
) -> None:
    delivered(site, "20251106", "VMPA00000001")

    said = site.said("archive", "manifest", "20251106", "--print")
    raw = site.said("archive", "manifest", "20251106", "--print", "--raw")
    (mail,) = json.loads(site.said("archive", "manifest", "20251106", "--print", "--json"))["mails"]

    assert said.startswith(
        "From     vampd@example.org\n"
        "To       archive@example.org\n"
        "Subject  VAMPIRES 20251106: 1 file for the archive\n\n"
        "The files of 20251106 are complete: "
    )
    assert "\nattached manifest_VMP_20251106.csv: " in said
    assert "a list of 1 file\n" in said
    assert "base64" not in said
    assert "To: archive@example.org\n" in raw
    assert "base64" in raw
    assert mail["headers"]["To"] == "archive@example.org"
    assert not office.received


def test_no_mail_goes_out_where_nobody_can_be_asked(site: Site, office: PostOffice) -> None:
    delivered(site, "20251106", "VMPA00000001")

    result = site.run("archive", "manifest", "20251106", "--send")

    assert isinstance(result.exception, UsageError)
    assert "add -y" in str(result.exception)
    assert "Subject  VAMPIRES 20251106" in result.output
    assert site.answer("archive", "manifest", "20251106")["nights"][0]["state"] == "ready"
    assert not office.received


@pytest.mark.parametrize(("typed", "sent"), [("y", 1), ("n", 0)])
def test_the_mail_is_shown_and_goes_out_when_somebody_says_yes(
    site: Site, office: PostOffice, typed: str, sent: int
) -> None:
    delivered(site, "20251106", "VMPA00000001")
    code, shown = at_a_terminal(site, f"{typed}\n", *_MANIFEST, "--send", NO_COLOR="1")

    assert "To       archive@example.org" in shown
    assert "May it be done?" in shown
    assert len(office.accepted) == sent
    assert (code == 0) is bool(sent), shown


def test_what_is_sent_again_is_shown_as_it_went_out(site: Site, office: PostOffice) -> None:
    delivered(site, "20251106", "VMPA00000001")
    office.addresses["archive@example.org"] = "451 busy"
    site.run("archive", "manifest", "20251106", "--send", "-y")

    said = site.said("archive", "manifest", "20251106", "--send", "--dry-run")

    assert "the very same mail as before" in said
    assert "Subject  VAMPIRES 20251106: 1 file for the archive" in said


def test_without_a_daemon_the_command_sends_it_itself(site: Site, office: PostOffice) -> None:
    content = delivered(site, "20251106", "VMPA00000001")

    said = site.said("archive", "manifest", "20251106", "--send", "-y")

    assert said.startswith("archive 20251106: its manifest is mailed\narchive 20251106: sent ")
    (received,) = office.accepted
    assert received.attachment == content
    (night,) = json.loads(site.said("archive", "manifest", "20251106", "--json"))["nights"]
    assert (night["state"], night["accepted"]) == ("sent", ["archive@example.org"])
    assert night["message_id"] == received.mail["Message-ID"]


@pytest.mark.parametrize(
    ("answer", "error"), [("550 no", OperatorError), ("451 busy", RetryableError)]
)
def test_what_the_server_refuses_is_the_exit_status(
    site: Site, office: PostOffice, answer: str, error: type[Exception]
) -> None:
    delivered(site, "20251106", "VMPA00000001")
    office.addresses["archive@example.org"] = answer

    result = site.run("archive", "manifest", "20251106", "--send", "-y")

    assert isinstance(result.exception, error)
    assert answer in result.output


def test_a_dry_run_sends_nothing(site: Site, office: PostOffice) -> None:
    delivered(site, "20251106", "VMPA00000001")

    site.said("archive", "manifest", "20251106", "--send", "--dry-run")

    assert not office.received


def test_the_archives_word_is_recorded_and_taken_back(site: Site) -> None:
    delivered(site, "20251106", "VMPA00000001")
    site.said("archive", "manifest", "20251106", "--send", "-y")

    said = site.said("archive", "ack", "20251106", "--note", "RE: VAMPIRES")
    (night,) = json.loads(site.said("archive", "manifest", "20251106", "--json"))["nights"]
    site.said("archive", "ack", "20251106", "--revoke", "--why", "the wrong night")
    (revoked,) = json.loads(site.said("archive", "manifest", "20251106", "--json"))["nights"]

    assert "archive 20251106: acknowledged by the archive" in said
    assert (night["state"], night["note"]) == ("acknowledged", "RE: VAMPIRES")
    assert revoked["state"] == "sent"


@pytest.mark.parametrize("command", ["show", "explain"])
def test_show_and_explain_tell_where_the_mail_is(site: Site, command: str) -> None:
    delivered(site, "20251106", "VMPA00000001")
    before = " ".join(site.said(command, "20251106").split())
    site.said("archive", "manifest", "20251106", "--send", "-y")
    after = " ".join(site.said(command, "20251106").split())
    (night,) = json.loads(site.said("show", "20251106", "--json"))["nights"]

    assert "ready to be sent: vampd archive manifest 20251106 --send" in before
    assert "when the archive answers: vampd archive ack 20251106" in after
    assert [track["state"] for track in night["mail"]] == ["sent"]


def test_to_force_needs_a_reason(site: Site) -> None:
    delivered(site, "20251106", "VMPA00000001")

    without, forced = (
        site.run("archive", "ack", "20251106", "--force", *more)
        for more in ([], ["--why", "by telephone"])
    )

    assert isinstance(without.exception, UsageError)
    assert forced.exit_code == 0
