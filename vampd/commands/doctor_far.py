"""`vampd admin doctor`: the far folders: reachable, writable, and on their disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

import click
from msgspec import Struct

from vampd.commands import acting
from vampd.commands.findings import Finding, bad, ok
from vampd.commands.screen import echo_json, paragraph
from vampd.errors import OperatorError, RetryableError, UsageError, VampdError
from vampd.ledger.reading import has_ledger, reading
from vampd.plain_text import first_line
from vampd.remote import destination_marker
from vampd.remote.answers import FarDisk
from vampd.remote.commands import Reach
from vampd.remote.location import Location
from vampd.remote.store import FarJob, Store
from vampd.remote.table import store_of
from vampd.settings.sections import Config
from vampd.views.explanations_of_failures import KNOWN
from vampd.views.summaries import far_markers, was_delivered_to


class _Folder(Struct, frozen=True, kw_only=True):
    """A far folder of the settings."""

    place: Location
    helper: str
    is_sent_to: bool  #: else somebody moves nights on to it


class _Claim(Struct, frozen=True, kw_only=True):
    """A disk that is to be the one from now on."""

    folder: _Folder
    found: FarDisk
    known: str | None

    def line(self) -> str:
        """What that means."""
        text = f"{self.folder.place}: the disk that is there now is the one that vampd knows"
        if self.found.marker is not None:
            text += f"; it bears the marker {self.found.marker}"
        elif self.found.is_bare:
            text += "; it is EMPTY, and no mount point: is the disk mounted?"
        return text


def examined(config: Config) -> Iterator[Finding]:
    """Every far folder, one after the other; one that does not answer stops no other."""
    try:
        markers = _markers(config)
    except (VampdError, sqlite3.Error):
        markers = {}  # that has been told
    for folder in _folders(config):
        try:
            if folder.is_sent_to:
                yield from _can_receive(config, folder)
            yield from _is_its_disk(config, folder, markers.get(str(folder.place)))
        except VampdError as error:
            text = str(error) if error.code is None else first_line(str(error))
            yield bad(text, "mend that, then: vampd admin doctor")


def _can_receive(config: Config, folder: _Folder) -> Iterator[Finding]:
    """Reachable, a folder, and the programs that are needed there."""
    store = _store(config, folder)
    try:
        complaints = store.complaints()
    except (OperatorError, RetryableError) as error:
        known = None if error.code is None else KNOWN[error.code].mend
        mend = "" if known is None else f"{known.replace(' (vampd admin doctor)', '')}; "
        yield bad(first_line(str(error)), f"{mend}try it: {store.by_hand()}")
        return
    for line in complaints:
        yield bad(f"{folder.place}: {line}", "make the folder, mend its rights, or install it")
    if not complaints:
        yield ok(f"{folder.place}: reachable, writable, has its programs, {store.kind()}")


def _is_its_disk(config: Config, folder: _Folder, known: str | None) -> Iterator[Finding]:
    if known is None and not folder.is_sent_to:
        return  # nobody asked for it to be looked after
    found = _store(config, folder).disk()
    if known is None and found.marker is None:
        yield ok(f"{folder.place}: has no marker yet; the first delivery gives it one")
    elif known is None:
        yield ok(f"{folder.place}: bears a marker, by which the next delivery will know it")
    elif found.marker == known:
        yield ok(f"{folder.place}: its marker is that of the disk to which nights were delivered")
    else:
        yield bad(
            destination_marker.absent_text(str(folder.place), has_another=found.marker is not None),
            f"mount its disk; was it changed on purpose: vampd admin doctor --claim {folder.place}",
        )


def claim(context: click.Context, text: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Let the disk that is at the far folder *text* now be the one that vampd knows.

    With "" it is the one whose marker is not the known one, or that was delivered to and never
    marked. UsageError: there are several.
    """
    config: Config = context.obj.config()
    claims = list(_claims(config, text))
    if len(claims) > 1:
        places = ", ".join(str(each.folder.place) for each in claims)
        msg = f"several disks are not the known ones: {places}; name the one, --claim PLACE"
        raise UsageError(msg)
    answers: list[dict[str, Any]] = []
    for each in claims:
        if not dry_run:
            acting.confirm([each.line()], yes=yes)
        found = each.found
        if found.marker is None and not dry_run:
            found = _store(config, each.folder).claim()
        told = {"place": str(each.folder.place), "marker": found.marker, "dry_run": dry_run}
        answer = acting.give_order(config, "claim_far", told)
        answers.append({**told, **answer})
    if as_json:
        echo_json({"claims": answers, **acting.daemon_json(config)})
        return
    for line in [line for answer in answers for line in answer["lines"]]:
        click.echo(paragraph("", line))
    if not answers:
        click.echo("nothing to do: every far disk bears the marker by which it is known")
    if not dry_run and any(answer["changed"] for answer in answers):
        acting.tell_of_no_daemon(config)


def _claims(config: Config, text: str) -> Iterator[_Claim]:
    markers, folders = _markers(config), _folders(config)
    wanted = None if not text else Location.parse(text)
    if wanted is not None and wanted not in [folder.place for folder in folders]:
        places = ", ".join(str(folder.place) for folder in folders) or "none"
        msg = f"{text} is no far folder of the settings; they are: {places}"
        raise UsageError(msg)
    for folder in folders:
        known = markers.get(str(folder.place))
        if wanted not in {None, folder.place}:
            continue
        if wanted is None and known is None and not _was_delivered_to(config, folder):
            continue
        found = _store(config, folder).disk()
        if known is None or found.marker != known:
            yield _Claim(folder=folder, found=found, known=known)


def _folders(config: Config) -> list[_Folder]:
    """The far folders, each once."""
    folders: dict[Location, _Folder] = {}
    for root in config.roots:
        delivery = config.delivery.of(root.kind)
        if delivery is None:
            continue
        sent, moved = delivery.destination, delivery.safe_base()
        folders[sent] = _Folder(place=sent, helper=delivery.far_helper, is_sent_to=True)
        if moved is not None and moved not in folders:
            folders[moved] = _Folder(place=moved, helper=delivery.far_helper, is_sent_to=False)
    return list(folders.values())


def _store(config: Config, folder: _Folder) -> Store:
    reach = Reach(
        ssh_options=tuple(config.ssh.options),
        connect_timeout_seconds=config.ssh.connect_timeout_seconds,
        helper=folder.helper,
    )
    return store_of(FarJob(night="the far disk", reach=reach), folder.place)


def _was_delivered_to(config: Config, folder: _Folder) -> bool:
    with reading(config.state_dir, config.reading_socket) as ledger:
        return folder.is_sent_to and was_delivered_to(ledger, str(folder.place))


def _markers(config: Config) -> Mapping[str, str]:
    if not has_ledger(config.state_dir, config.reading_socket):
        return {}
    with reading(config.state_dir, config.reading_socket) as ledger:
        return far_markers(ledger)
