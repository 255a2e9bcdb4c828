"""`vampd archive manifest DATE`: the list of its files for the archive; mailed by --send."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from vampd.commands import acting, dates
from vampd.commands.mail_words import track_json, track_text
from vampd.commands.screen import echo_json
from vampd.errors import OperatorError, RetryableError, UsageError
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.ledger.mail_tracks import MailTrack, Track, batch_tracks
from vampd.ledger.reading import daemon_lock, reading
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.summaries import nights

_LOOK_SECONDS = 0.2


@click.command("manifest")
@dates.date_argument
@click.option("--print", "preview", is_flag=True, help="Print the mail, and send nothing.")
@click.option("--send", is_flag=True, help="Mail it to the archive team.")
@click.option("--anew", is_flag=True, help="The archive never got the last mail: compose another.")
@click.option("--why", metavar="TEXT", help="Who said so, for the ledger (--anew).")
@click.option(
    "--wait",
    "wait_seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="How long to wait for the mail server's answer.",
)
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    preview: bool,
    send: bool,
    anew: bool,
    why: str | None,
    wait_seconds: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Print the manifest of archive nights; of several nights, one combined manifest.

    With --send, one mail goes out about all of them that are ready, and never a second one about
    the same files: sent again, it is the very same mail. A night is ready when every file of it
    was verified at the far end.
    """
    if anew and not (send and why):
        msg = "--anew needs --send and --why TEXT"
        raise UsageError(msg)
    config: Config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.resolve(nights(ledger), date, kind or _only_archive(nights(ledger), date))
        found = [
            (night, track)
            for night in chosen
            for track in batch_tracks(ledger, configured=config.mail.is_configured, night=night.id)
        ]
    if send:
        reason = why if anew else None
        _send(config, chosen, reason, wait_seconds, dry_run=dry_run, as_json=as_json)
    elif as_json:
        echo_json({"nights": [track_json(night, track) for night, track in found]})
    else:
        listed = [(night, track) for night, track in found if track.manifest_sha256 is not None]
        if not listed:
            msg = f"{chosen[0]} has no manifest (yet): see vampd show {chosen[0].date}"
            raise OperatorError(msg)
        click.echo(_output(config, listed, preview=preview), nl=False)


def _only_archive(every: Sequence[Night], date: str) -> str | None:
    """Engineering nights have no manifest: where a date has both kinds, the archive's is meant."""
    found = {night.kind.value for night in dates.chosen(every, [date], None)}
    return "archive" if len(found) > 1 else None


def _output(config: Config, listed: Sequence[tuple[Night, MailTrack]], *, preview: bool) -> bytes:
    # Late: only these need the packages of mail.
    from vampd.background.mail import compose as stage
    from vampd.background.mail.job import compose_job

    parts: list[stage.MailPart] = [
        {
            "night": str(night),
            "date": night.date,
            "batch": track.batch,
            "folder": night.folder,
            "manifest": track.manifest or "",
            "sha256": track.manifest_sha256 or "",
        }
        for night, track in listed
    ]
    if not preview:
        return stage.combine([stage.read_manifest(part) for part in parts])
    if not config.mail.sender:
        msg = "mail.sender is not set: there is no mail to be seen"
        raise OperatorError(msg)
    job = compose_job(config, parts, SystemClock().now_us())
    return stage.compose(job)["content"].replace(b"\r\n", b"\n")


def _send(
    config: Config,
    chosen: Sequence[Night],
    anew: str | None,
    wait_seconds: float,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    asked = [{"kind": night.kind.value, "date": night.date} for night in chosen]
    arguments = {"date": None, "nights": asked, "anew": anew, "dry_run": dry_run}
    answer = acting.give_order(config, "mail", arguments)
    if not as_json:
        for line in answer["lines"]:
            click.echo(f"{line} (dry run)" if dry_run else line)
    states: list[dict[str, Any]] = []
    if answer["changed"] and not dry_run:
        tracks = _outcome(config, chosen, wait_seconds)
        states = [track_json(night, track) for night, track in tracks]
        for night, track in [] if as_json else tracks:
            click.echo(f"{night}: {track_text(track, night.date)}")
    if as_json:
        told = {"changed": answer["changed"], "lines": answer["lines"], "nights": states}
        echo_json({**told, **acting.daemon_json(config)})
    _judge(states)


def _judge(states: Sequence[Mapping[str, Any]]) -> None:
    """Say by the exit status what became of the mails."""
    if any(state["state"] == Track.FAILED for state in states):
        msg = "not every mail was sent; mend that, and send it again"
        raise OperatorError(msg)
    if any(state["state"] == Track.SENDING for state in states):
        msg = "not every mail is sent yet; the daemon goes on trying"
        raise RetryableError(msg)


def _outcome(
    config: Config, chosen: Sequence[Night], wait_seconds: float
) -> list[tuple[Night, MailTrack]]:
    """What became of the mails, once nothing is under way or *wait_seconds* are over.

    Where no daemon runs, they are sent from here.
    """
    if daemon_lock(config.state_dir, config.reading_socket) is None:
        _send_alone(config)
    deadline = time.monotonic() + wait_seconds
    while True:
        with reading(config.state_dir, config.reading_socket) as ledger:
            found = [
                (night, track)
                for night in chosen
                for track in batch_tracks(ledger, configured=True, night=night.id)
            ]
        fresh = any(track.state is Track.SENDING and track.error is None for _, track in found)
        if not fresh or time.monotonic() > deadline:
            return found
        time.sleep(_LOOK_SECONDS)


def _send_alone(config: Config) -> None:
    from vampd import __version__
    from vampd.background.mail.job import do_all
    from vampd.ledger.connection import open_ledger

    with StateLock.acquire(config.state_dir):
        ledger = open_ledger(config.state_dir, version=__version__, clock=SystemClock())
        try:
            ledger.actor = acting.actor()
            do_all(ledger, config)
        finally:
            ledger.close()
