"""`vampd archive manifest DATE`: the list of its files for the archive; mailed by --send."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vampd.commands import acting, dates
from vampd.commands.mail_words import track_json, track_text
from vampd.commands.screen import Screen, echo_json
from vampd.errors import OperatorError, RetryableError, UsageError
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.ledger.mail_tracks import MailTrack, Track, batch_tracks
from vampd.ledger.reading import Reader, daemon_lock, reading
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.summaries import nights

if TYPE_CHECKING:
    from vampd.commands.mail_preview import Preview

_LOOK_SECONDS = 0.2


@click.command("manifest")
@dates.date_argument
@click.option("--print", "preview", is_flag=True, help="Show the mail, and send nothing.")
@click.option("--raw", is_flag=True, help="With --print: its bytes, as they would go out.")
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
@acting.yes_option
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    preview: bool,
    raw: bool,
    send: bool,
    anew: bool,
    why: str | None,
    wait_seconds: float,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Print the manifest of archive nights; of several nights, one combined manifest.

    With --send, one mail goes out about all of them that are ready, and never a second one about
    the same files: sent again, it is the very same mail. A night is ready when every file of it
    was verified at the far end. The mail is shown, and whether it may go is asked; -y for scripts.
    """
    if anew and not (send and why):
        msg = "--anew needs --send and --why TEXT"
        raise UsageError(msg)
    if raw and not preview:
        msg = "--raw is for --print: the bytes of the mail that is shown"
        raise UsageError(msg)
    config: Config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.resolve(nights(ledger), date, kind or _only_archive(nights(ledger), date))
        found = [
            (night, track)
            for night in chosen
            for track in batch_tracks(ledger, configured=config.mail.is_configured, night=night.id)
        ]
        if not send:
            _show(config, ledger, found, preview=preview, raw=raw, as_json=as_json)
            return
    reason = why if anew else None
    _send(config, found, reason, wait_seconds, yes=yes, dry_run=dry_run, as_json=as_json)


def _show(
    config: Config,
    ledger: Reader,
    found: Sequence[tuple[Night, MailTrack]],
    *,
    preview: bool,
    raw: bool,
    as_json: bool,
) -> None:
    from vampd.commands import mail_preview  # late: only this needs the packages of mail

    listed = [(night, track) for night, track in found if track.manifest_sha256 is not None]
    if as_json and not preview:
        echo_json({"nights": [track_json(night, track) for night, track in found]})
    elif not listed:
        night = found[0][0]
        msg = f"{night} has no manifest (yet): see vampd show {night.date}"
        raise OperatorError(msg)
    elif raw:
        content = mail_preview.raw_mail(config, listed).replace(b"\r\n", b"\n")
        click.echo(content, nl=False)
    elif not preview:
        click.echo(mail_preview.combined_manifest(listed), nl=False)
    else:
        shown = list(mail_preview.previews(ledger, config, listed, anew=False))
        if as_json:
            echo_json({"mails": [mail_preview.preview_json(each) for each in shown]})
        else:
            _show_mails(shown, err=False)


def _show_mails(shown: Sequence[Preview], *, err: bool) -> None:
    from vampd.commands.mail_preview import preview_lines

    for number, each in enumerate(shown):
        click.echo("\n" if number else "", nl=False, err=err)
        for line in preview_lines(each, Screen.of_stdout()):
            click.echo(line, err=err)


def _only_archive(every: Sequence[Night], date: str) -> str | None:
    """Engineering nights have no manifest: where a date has both kinds, the archive's is meant."""
    found = {night.kind.value for night in dates.chosen(every, [date], None)}
    return "archive" if len(found) > 1 else None


def _send(
    config: Config,
    found: Sequence[tuple[Night, MailTrack]],
    anew: str | None,
    wait_seconds: float,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    chosen = list(dict.fromkeys(night for night, _ in found))
    asked = [{"kind": night.kind.value, "date": night.date} for night in chosen]
    arguments = {"date": None, "nights": asked, "anew": anew}
    if dry_run or not yes:
        planned = acting.give_order(config, "mail", {**arguments, "dry_run": True})
        shown = _going(config, found, planned.get("batches", ()), anew=bool(anew))
        if dry_run:
            _show_plan(config, planned["lines"], shown, as_json=as_json)
            return
        if shown:
            _show_mails(shown, err=True)
            acting.confirm(["", *planned["lines"]], yes=False)
    answer = acting.give_order(config, "mail", {**arguments, "dry_run": False})
    for line in [] if as_json else answer["lines"]:
        click.echo(line)
    tracks = _outcome(config, chosen, wait_seconds) if answer["changed"] else []
    for night, track in [] if as_json else tracks:
        click.echo(f"{night}: {track_text(track, night.date)}")
    if as_json:
        told = {"changed": answer["changed"], "lines": answer["lines"]}
        states = [track_json(night, track) for night, track in tracks]
        echo_json({**told, "nights": states, **acting.daemon_json(config)})
    _judge([track.state for _, track in tracks])


def _going(
    config: Config,
    found: Sequence[tuple[Night, MailTrack]],
    batches: Sequence[tuple[int, int]],
    *,
    anew: bool,
) -> list[Preview]:
    """The mails of those of *found* that are among the *batches*, which an order would send."""
    from vampd.commands.mail_preview import previews

    going = [(night, track) for night, track in found if (track.night, track.batch) in batches]
    with reading(config.state_dir, config.reading_socket) as ledger:
        return list(previews(ledger, config, going, anew=anew))


def _show_plan(
    config: Config, lines: Sequence[str], shown: Sequence[Preview], *, as_json: bool
) -> None:
    """What an order to send would do."""
    if as_json:
        from vampd.commands.mail_preview import preview_json

        told = {"changed": bool(shown), "lines": lines, "nights": []}
        mails = [preview_json(each) for each in shown]
        echo_json({**told, "mails": mails, **acting.daemon_json(config)})
        return
    for line in lines:
        click.echo(f"{line} (dry run)")
    if shown:
        click.echo("")
        _show_mails(shown, err=False)


def _judge(states: Sequence[Track]) -> None:
    """Say by the exit status what became of the mails."""
    if Track.FAILED in states:
        msg = "not every mail was sent; mend that, and send it again"
        raise OperatorError(msg)
    if Track.SENDING in states:
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
