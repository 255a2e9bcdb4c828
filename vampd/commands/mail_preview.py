"""The mails that would go out to the archive, as whoever reads them will see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from vampd.background.mail import compose
from vampd.background.mail.job import batches_of_mails, compose_job
from vampd.commands.screen import Screen, count_text, size_text
from vampd.errors import OperatorError
from vampd.io.clock import SystemClock
from vampd.ledger.mail_tracks import MailTrack
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.orders.mail import is_repeated
from vampd.plain_text import plain_text
from vampd.settings.sections import Config

_HEADERS = ("From", "To", "Cc", "Reply-To", "Subject")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that goes with a mail; *rows*: of a manifest, so many files are in its list."""

    name: str
    size_bytes: int
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A mail, as its reader sees it."""

    headers: dict[str, str]
    text: str
    attachments: Sequence[Attachment]
    again: bool  #: these very bytes went out, or were ready to, before


def previews(
    ledger: Reader, config: Config, listed: Sequence[tuple[Night, MailTrack]], *, anew: bool
) -> Iterator[Preview]:
    """The mails that an order to send *listed* makes or repeats, in the order of the nights.

    OperatorError: there is no sender. IntegrityError: a manifest is not the one that was delivered.
    """
    nights = {night.id: night for night, _ in listed}
    tracks = [track for _, track in listed]
    for number in dict.fromkeys(track.mail for track in tracks if is_repeated(track, anew=anew)):
        kept = ledger.execute("select content from mail where id = ?", (number,)).fetchone()[0]
        if kept is not None:
            yield preview(kept, again=True)
        else:  # it was asked for, and is not composed yet
            own = [track for track in tracks if track.mail == number]
            yield preview(_composed(config, nights, own), again=False)
    fresh = [track for track in tracks if not is_repeated(track, anew=anew)]
    for group in batches_of_mails(fresh, config.mail):
        yield preview(_composed(config, nights, group), again=False)


def combined_manifest(listed: Sequence[tuple[Night, MailTrack]]) -> bytes:
    """The manifests of *listed*, as one. IntegrityError: one is not what was delivered."""
    return compose.combine([compose.read_manifest(_part(*each)) for each in listed])


def raw_mail(config: Config, listed: Sequence[tuple[Night, MailTrack]]) -> bytes:
    """The bytes of a mail about *listed*. Errors as `previews`."""
    nights = {night.id: night for night, _ in listed}
    return _composed(config, nights, [track for _, track in listed])


def _composed(config: Config, nights: dict[int, Night], tracks: Sequence[MailTrack]) -> bytes:
    if not config.mail.sender:
        msg = "mail.sender is not set: there is no mail to be seen"
        raise OperatorError(msg)
    parts = [_part(nights[track.night], track) for track in tracks]
    return compose.compose(compose_job(config, parts, SystemClock().now_us())).content


def _part(night: Night, track: MailTrack) -> compose.MailPart:
    return compose.MailPart(
        night=str(night),
        date=night.date,
        batch=track.batch,
        folder=night.folder,
        manifest=track.manifest or "",
        sha256=track.manifest_sha256 or "",
    )


def preview(content: bytes, *, again: bool) -> Preview:
    """What a reader sees of a mail's bytes."""
    mail = message_from_bytes(content, policy=default)
    body = mail.get_body(("plain",))
    return Preview(
        headers={name: str(mail[name]) for name in _HEADERS if mail[name]},
        text="" if body is None else body.get_content().replace("\r\n", "\n"),
        attachments=[_attachment(each) for each in mail.iter_attachments()],
        again=again,
    )


def _attachment(part: EmailMessage) -> Attachment:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    return Attachment(
        name=part.get_filename() or "(no name)",
        size_bytes=len(content),
        rows=sum(not line.startswith(b"#") for line in content.splitlines()),
    )


def preview_lines(shown: Preview, screen: Screen) -> Iterator[str]:
    """A mail for a terminal: who to whom, the text, what goes with it."""
    for name, value in shown.headers.items():
        yield f"{screen.title(f'{name:<9}')}{plain_text(value)}"
    yield ""
    yield from plain_text(shown.text).rstrip("\n").splitlines()
    yield ""
    for each in shown.attachments:
        said = f"{size_text(each.size_bytes)}, a list of {count_text(each.rows, 'file')}"
        yield f"{screen.title('attached ')}{plain_text(each.name)}: {said}"
    if shown.again:
        yield "the very same mail as before: whoever has it sees no second one"


def preview_json(shown: Preview) -> dict[str, Any]:
    """A mail for programs."""
    return {
        "headers": shown.headers,
        "text": shown.text,
        "attachments": [
            {"name": each.name, "size_bytes": each.size_bytes, "files": each.rows}
            for each in shown.attachments
        ],
        "again": shown.again,
    }
