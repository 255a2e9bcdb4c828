"""What may stand beside the state of a safe night, and decides about orders: for `test_advice`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing

from tests.support.ledger_site import NOW_US, Site
from vampd import __version__
from vampd.background.mail.compose import MailPart, compose
from vampd.background.mail.job import compose_job
from vampd.io.clock import SystemClock
from vampd.io.mail_values import Answer, Verdict
from vampd.ledger import mail, mail_tracks
from vampd.ledger.connection import Ledger, open_ledger
from vampd.ledger.mail_tracks import MailTrack
from vampd.settings.load import load

DATE = "20251106"

_STAMP = {"changed_us": NOW_US, "changed_by": "x"}
_MAIL = (
    '[mail]\nhost = "127.0.0.1"\nport = 9\nsender = "vampd@example.org"\n'
    'recipients = ["archive@example.org"]\ndata_host = "scexao5"\n'
)


def _mailable(site: Site, night: int, content: bytes = b"VMPA00000001|/x|2880\n") -> None:
    """Its manifest is at the far end, and there is somebody to be told."""
    if "[mail]" not in site.config.read_text():
        with site.config.open("a") as settings:
            settings.write(_MAIL)
    name = f"manifest_VMP_{DATE}.csv"
    (site.folder / "archive" / DATE / name).write_bytes(content)
    site.execute("delete from deliverable where night = ? and path = ?", night, name)
    site.insert(
        "deliverable",
        night=night,
        path=name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        verified_us=NOW_US,
        verdict="verified",
    )


def _mailed(site: Site, night: int, verdict: Verdict | None) -> None:
    """A mail went to the server, which answered *verdict*; None: it was not reached yet."""
    _mailable(site, night)
    config = load(site.config)
    with closing(_opened(site)) as ledger:
        number = mail.want(ledger, [_track(ledger, night)], "x")
        row = mail.begin(ledger, mail.get_mail(ledger, number))
        (part,) = mail.parts_of(ledger, number)
        named = MailPart(
            night=f"{part.kind} {part.date}",
            date=part.date,
            batch=part.batch,
            folder=part.folder,
            manifest=part.manifest,
            sha256=part.manifest_sha256,
        )
        composed = compose(compose_job(config, [named], NOW_US))
        mail.store(ledger, row, composed, config.mail.sender, config.mail.recipients)
        answers = {"archive@example.org": Answer(verdict=verdict, words="x")} if verdict else {}
        mail.take_answers(ledger, number, answers)
        if verdict == "accepted":
            mail.finish(ledger, number)
        elif verdict:
            mail.fail(ledger, mail.get_mail(ledger, number), "550 no")


def _acknowledged(site: Site, night: int) -> None:
    _mailed(site, night, "accepted")
    with closing(_opened(site)) as ledger:
        mail.acknowledge(ledger, _track(ledger, night), None, None)


def _changed(site: Site, night: int) -> None:
    """What the archive was told is not what lies there now."""
    _mailed(site, night, "accepted")
    _mailable(site, night, b"VMPA00000002|/x|2880\n")


def _opened(site: Site) -> Ledger:
    return open_ledger(site.state, version=__version__, clock=SystemClock())


def _track(ledger: Ledger, night: int) -> MailTrack:
    (track,) = mail_tracks.batch_tracks(ledger.connection, configured=True, night=night)
    return track


def _hook_failed(site: Site, night: int) -> None:
    site.insert(
        "hook_run", night=night, batch=1, command="reduce", state="failed", error="x", **_STAMP
    )


def _kept(site: Site, night: int) -> None:
    site.insert("pin", night=night, why="x", **_STAMP)


def _in_trash(site: Site, night: int) -> None:
    """Its outputs are to leave, and one of them is listed."""
    now = {"begun_us": NOW_US, "begun_passed_us": NOW_US, **_STAMP}
    given = site.insert(
        "reclaim", run=1, night=night, space="outputs", final=0, state="done", **now
    )
    site.insert(
        "trash",
        reclaim=given,
        night=night,
        space="outputs",
        path="vgen2/x.fits.fz",
        place="1/x.fits.fz",
        inode=1,
        size_bytes=1,
        modified_ns=1,
        state="trashed",
        moved_us=NOW_US,
        moved_passed_us=NOW_US,
        **_STAMP,
    )


def _giving_back(site: Site, night: int) -> None:
    now = {"begun_us": NOW_US, "begun_passed_us": NOW_US, **_STAMP}
    site.insert("reclaim", run=1, night=night, space="raw", final=0, state="verifying", **now)


def _proved(site: Site, night: int) -> None:
    site.insert("rebuild_proof", night=night, batch=1, sidecar_sha256="", files=1, **_STAMP)


def _quarantined(site: Site, night: int) -> None:
    site.cube(night, "vcam2_05:10:00.0", state="quarantined")


#: By name, what is put beside a safe night.
BESIDE: Mapping[str, Callable[[Site, int], None]] = {
    "mail ready": _mailable,
    "mail unsent": lambda site, night: _mailed(site, night, None),
    "mail refused": lambda site, night: _mailed(site, night, "never"),
    "mail sent": lambda site, night: _mailed(site, night, "accepted"),
    "mail acknowledged": _acknowledged,
    "manifest changed": _changed,
    "hook failed": _hook_failed,
    "kept": _kept,
    "in the trash": _in_trash,
    "being given back": _giving_back,
    "proved": _proved,
    "quarantined": _quarantined,
}
