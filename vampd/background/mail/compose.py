"""The mail to the archive team: its bytes, made once; and one attempt to hand them over.

The bytes follow from the nights, their manifests, the settings and the moment of composition
alone. The Message-ID follows from the nights and the manifests' digests: the same mail, however
often it is sent, is one mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from vampd.errors import IntegrityError, OperatorError
from vampd.io.beneath import night_folder, read_start
from vampd.io.mail import deliver
from vampd.io.mail_values import Composed, Delivery, SmtpServer
from vampd.ledger.counter import spans_text
from vampd.ledger.frame_ids import frame_id_number

_HEADER = b"#"
_PLAIN_COLUMNS = 3  # FRAMEID|path|size; a fourth is the digest


class Letter(Struct, frozen=True, kw_only=True):
    """Who writes to whom, and what it says."""

    sender: str
    recipients: Sequence[str]  #: To
    copies: Sequence[str] = ()  #: Cc
    reply_to: str = ""
    subject: str
    text: str


class MailPart(Struct, frozen=True, kw_only=True):
    """One batch of a night that a mail speaks of."""

    night: str  #: for messages, e.g. "archive 20251106"
    date: str  #: YYYYMMDD
    batch: int
    folder: str  #: the night's folder, absolute
    manifest: str  #: its path in there
    sha256: str  #: of the manifest that was delivered


class ComposeJob(Struct, frozen=True, kw_only=True):
    """What a mail to the archive needs to know; *subject* and *text* of the letter have {names}."""

    letter: Letter
    parts: Sequence[MailPart]  #: in the order of their dates
    data_host: str
    composed_us: int


class SendJob(Struct, frozen=True, kw_only=True):
    """One attempt."""

    content: bytes
    sender: str
    recipients: Sequence[str]
    server: SmtpServer


def compose(job: ComposeJob) -> Composed:
    """The mail of *job*. IntegrityError: a manifest is not the one that was delivered."""
    manifests = [read_manifest(part) for part in job.parts]
    attachment = combine(manifests)
    name = _attachment_name(job.parts)
    meant = _meanings(job, manifests, attachment, name)
    letter = replace(
        job.letter,
        subject=_filled(job.letter.subject, meant),
        text=_filled(job.letter.text, meant),
    )
    identity = "".join(f"{p.date}.{p.batch} {p.sha256}\n" for p in job.parts)
    return write_letter(letter, identity, job.composed_us, attachment=(name, attachment))


def send(job: SendJob) -> Delivery:
    """Try once; what the server said."""
    return deliver(job.content, job.sender, job.recipients, job.server)


def write_letter(
    letter: Letter, identity: str, composed_us: int, attachment: tuple[str, bytes] | None = None
) -> Composed:
    """The bytes of a mail; *identity* is what makes two mails the same one."""
    digest = hashlib.sha256(identity.encode()).hexdigest()[:40]
    message_id = f"<vampd-{digest}@{letter.sender.rpartition('@')[2]}>"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = letter.sender
    mail["To"] = ", ".join(letter.recipients)
    if letter.copies:
        mail["Cc"] = ", ".join(letter.copies)
    if letter.reply_to:
        mail["Reply-To"] = letter.reply_to
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(composed_us // 1_000_000, UTC))
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
    mail.set_content(letter.text)
    if attachment is not None:
        name, content = attachment
        # As bytes, and so in base64: the paths and the ends of the lines arrive as they are.
        mail.add_attachment(content, maintype="text", subtype="csv", filename=name)
        mail.set_boundary(f"=_vampd_{digest}")  # by default it is random
    return Composed(content=mail.as_bytes(), message_id=message_id, subject=letter.subject)


def read_manifest(part: MailPart) -> bytes:
    """A night's manifest. IntegrityError: it is gone, or not the one that was delivered."""
    path = night_folder(part.folder) / part.manifest
    try:
        content = read_start(path, -1)
    except (FileNotFoundError, NotADirectoryError):
        msg = f"{path} is gone; it is at the far end: copy it back, and compare its SHA-256"
        raise IntegrityError(msg) from None
    found = hashlib.sha256(content).hexdigest()
    if found != part.sha256:
        msg = f"{path} has SHA-256 {found}, but {part.sha256} was delivered for {part.night}"
        raise IntegrityError(msg)
    return content


def combine(manifests: Sequence[bytes]) -> bytes:
    """One manifest for all. One alone stays as it is, byte for byte.

    With digests only where every one of them has digests, for one header line holds for all.
    """
    if len(manifests) == 1:
        return manifests[0]
    with_digests = all(manifest.startswith(_HEADER) for manifest in manifests)
    lines = []
    for manifest in manifests:
        rows = list(_rows(manifest))
        lines += rows if with_digests else [b"|".join(row.split(b"|")[:3]) for row in rows]
    header = [manifests[0].partition(b"\n")[0]] if with_digests else []
    return b"".join(line + b"\n" for line in header + lines)


def _rows(manifest: bytes) -> Iterator[bytes]:
    return (row for row in manifest.splitlines() if not row.startswith(_HEADER))


def _attachment_name(parts: Sequence[MailPart]) -> str:
    if len(parts) == 1:
        return Path(parts[0].manifest).name
    return f"manifest_VMP_{parts[0].date}-{parts[-1].date}.csv"


def _meanings(
    job: ComposeJob, manifests: Sequence[bytes], attachment: bytes, name: str
) -> dict[str, str]:
    """What each {name} of the subject and the text stands for."""
    rows = [row.split(b"|") for row in _rows(attachment)]
    if not rows or any(len(row) < _PLAIN_COLUMNS for row in rows):
        msg = f"{name} lists no files, or not as a manifest does"
        raise OperatorError(msg)
    frame_ids = sorted(row[0].decode() for row in rows)
    return {
        "nights": _names(job.parts),
        "files": _count(rows),
        "size": _size(rows),
        "frame_ids": _spans(frame_ids),
        "first": frame_ids[0],
        "last": frame_ids[-1],
        "manifest": name,
        "digest": hashlib.sha256(attachment).hexdigest(),
        "data_host": job.data_host,
        "list": "\n".join(
            _line(part, manifest) for part, manifest in zip(job.parts, manifests, strict=True)
        ),
    }


def _names(parts: Sequence[MailPart]) -> str:
    names = [p.date if p.batch == 1 else f"{p.date} (part {p.batch})" for p in parts]
    return ", ".join(names)


def _line(part: MailPart, manifest: bytes) -> str:
    rows = [row.split(b"|") for row in _rows(manifest)]
    frame_ids = sorted(row[0].decode() for row in rows)
    return f"{_names([part])}: {_count(rows)}, {_size(rows)}, {_spans(frame_ids)}"


def _spans(frame_ids: Sequence[str]) -> str:
    """Frame IDs in runs: what is between two of a run is in the manifest."""
    numbers = [number for text in frame_ids if (number := frame_id_number(text)) is not None]
    return spans_text(numbers) or f"{frame_ids[0]} to {frame_ids[-1]}"


def _count(rows: Sequence[Sequence[bytes]]) -> str:
    return f"{len(rows)} file" + ("s" if len(rows) > 1 else "")


def _size(rows: Sequence[Sequence[bytes]]) -> str:
    return f"{sum(int(row[2]) for row in rows) / 1e9:.3f} GB"


def _filled(template: str, meant: Mapping[str, str]) -> str:
    """Replace each {name}; what is put in is not looked at again."""
    for_names = (part.partition("}") for part in template.split("{"))
    first, *others = for_names
    return first[0] + "".join(meant[name] + rest for name, _, rest in others)
