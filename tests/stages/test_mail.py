"""A mail's bytes follow from its nights, their manifests, the settings and the moment alone."""

from __future__ import annotations

import email
import email.policy
import hashlib
from email.message import EmailMessage
from pathlib import Path

import pytest

from vampd.background.mail.compose import ComposeJob, Letter, MailPart, combine, compose
from vampd.errors import IntegrityError
from vampd.settings.sections import Mail

NOW_US = 1_762_444_800_000_000
PLAIN = (b"VMPA00000001|/d/a b.fits.fz|10\n", b"VMPA00000002|/d/c.fits.fz|20\n")
HEADER = b"#FRAMEID|path|size_bytes|sha256sum\n"
DIGESTS = tuple(HEADER + line[:-1] + b"|" + b"0" * 64 + b"\n" for line in PLAIN)


def job(
    folder: Path, *manifests: bytes, text: str = Mail().text, now_us: int = NOW_US
) -> ComposeJob:
    parts: list[MailPart] = []
    for number, content in enumerate(manifests, start=1):
        date = f"2025110{number}"
        (folder / date).mkdir(exist_ok=True)
        (folder / date / f"manifest_VMP_{date}.csv").write_bytes(content)
        parts.append(
            MailPart(
                night=f"archive {date}",
                date=date,
                batch=1,
                folder=str(folder / date),
                manifest=f"manifest_VMP_{date}.csv",
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )
    letter = Letter(
        sender="vampd@example.org",
        recipients=["archive@example.org", "second@example.org"],
        copies=["pi@example.org"],
        reply_to="operator@example.org",
        subject=Mail().subject,
        text=text,
    )
    return ComposeJob(letter=letter, parts=parts, data_host="scexao5 (Mānoa)", composed_us=now_us)


def read(content: bytes) -> EmailMessage:
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_composed_twice_it_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = (compose(job(tmp_path, *PLAIN)) for _ in range(2))

    assert first == second
    assert first.content.isascii()
    assert max(map(len, first.content.splitlines())) <= 998


def test_its_identity_is_that_of_the_manifests_and_not_of_the_moment(tmp_path: Path) -> None:
    at_first = compose(job(tmp_path, *PLAIN))
    later = compose(job(tmp_path, *PLAIN, text="{list}", now_us=NOW_US + 10**9))
    other = compose(job(tmp_path, PLAIN[1], PLAIN[0]))

    assert later.message_id == at_first.message_id
    assert other.message_id != at_first.message_id
    assert at_first.message_id.endswith("@example.org>")


def test_the_text_says_what_the_settings_ask_for(tmp_path: Path) -> None:
    attached = "manifest_VMP_20251101-20251102.csv"
    text = "{nights};{files};{size};{first};{last};{manifest};{data_host}\n{list}"

    mail = read(compose(job(tmp_path, *PLAIN, text=text)).content)

    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == [
        f"20251101, 20251102;2 files;0.000 GB;VMPA00000001;VMPA00000002;{attached};scexao5 (Mānoa)",
        "20251101: 1 file, 0.000 GB, VMPA00000001",
        "20251102: 1 file, 0.000 GB, VMPA00000002",
    ]
    assert mail["To"] == "archive@example.org, second@example.org"
    assert (mail["Cc"], mail["Reply-To"]) == ("pi@example.org", "operator@example.org")


@pytest.mark.parametrize(
    ("manifests", "combined"),
    [
        (PLAIN[:1], PLAIN[0]),
        (DIGESTS[:1], DIGESTS[0]),
        (PLAIN, PLAIN[0] + PLAIN[1]),
        (DIGESTS, DIGESTS[0] + DIGESTS[1].removeprefix(HEADER)),
        ((PLAIN[0], DIGESTS[1]), PLAIN[0] + PLAIN[1]),
    ],
)
def test_a_combined_manifest_lists_all_under_one_header_or_none(
    manifests: tuple[bytes, ...], combined: bytes
) -> None:
    assert combine(manifests) == combined


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_manifest_that_is_not_the_delivered_one_stops_it(tmp_path: Path, damage: str) -> None:
    wanted = job(tmp_path, PLAIN[0])
    path = tmp_path / "20251101" / "manifest_VMP_20251101.csv"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(PLAIN[1])

    with pytest.raises(IntegrityError, match=r"manifest_VMP_20251101\.csv"):
        compose(wanted)
