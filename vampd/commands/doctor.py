"""`vampd admin doctor`: everything that vampd needs, checked from here and now."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from msgspec.structs import replace

from vampd.commands import access, acting, doctor_builders, doctor_copies, doctor_far
from vampd.commands.findings import Finding
from vampd.commands.findings import bad as _bad
from vampd.commands.findings import ok as _ok
from vampd.commands.findings import warn as _warn
from vampd.commands.screen import Screen, echo_json, paragraph, size_text, time_text
from vampd.errors import VampdError
from vampd.io import rice
from vampd.io.clock import SystemClock
from vampd.io.disk import MarkerState, check_marker, free_bytes, inotify_limits, is_mount_point
from vampd.io.process import run
from vampd.ledger import counter
from vampd.ledger.connection import ledger_path, pending_migrations
from vampd.ledger.reading import daemon_lock, has_ledger, reading
from vampd.settings.load import examine
from vampd.settings.sections import Config
from vampd.states import Kind
from vampd.views.summaries import last_daemon, root_markers

_PROGRAMS = ("rsync", "ssh", "funpack", "sha256sum", "setpriv")

#: STRICT tables came with SQLite 3.37.
_OLDEST_SQLITE = (3, 37, 0)

#: Less than this is too little for a ledger of 500 nights, or for an output of one cube.
_LEAST_FREE_BYTES = 5_000_000_000

#: Three folders a night, for some thousand nights.
_WATCHES = 8192

#: 2025-01-01: a host that believes it is earlier has lost its clock.
_EARLIEST_US = 1_735_689_600_000_000

_DEADLINE_SECONDS = 30.0
_MAIL_SECONDS = 120.0  # a server that looks for spam takes its time


@click.command("doctor")
@click.option("--mail", is_flag=True, help="Also send a test mail to alerts.recipients.")
@click.option(
    "--claim",
    metavar="[PLACE]",
    is_flag=False,
    flag_value="",
    help="Only say that the disk at a far folder is the one now; on record.",
)
@acting.yes_option
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    mail: bool,
    claim: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check settings, disks, programs, clock, ledger, far machines, mail. Exit 1 if one is bad.

    Changes nothing. Run it as the daemon's user: it is that user's rights that count.

    --claim is for a far disk that was changed on purpose: nights wait while the marker that is
    there is missing, or not the one that the ledger remembers. PLACE is as the settings have it.
    """
    if claim is not None:
        doctor_far.claim(context, claim, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    findings = list(examined(context.obj.config_path))
    if mail:
        findings += _caught(_test_mail, context.obj.config())
    if as_json:
        rows = [
            {"state": each.state, "what": each.what, "advice": each.advice} for each in findings
        ]
        echo_json({"ok": all(each.state != "bad" for each in findings), "findings": rows})
    else:
        screen = Screen.of_stdout()
        for finding in findings:
            click.echo(screen.word(finding.state, 5) + paragraph(" " * 5, finding.what).lstrip())
            if finding.advice:
                click.echo(paragraph("     -> ", finding.advice))
    if any(finding.state == "bad" for finding in findings):
        context.exit(1)


def examined(config_path: Path) -> Iterator[Finding]:
    """Look at everything, one thing after the other. A check that fails stops no other."""
    config, problems = examine(config_path)
    if problems or config is None:
        yield _bad(f"{config_path}: " + "; ".join(problems), "vampd admin config check")
        yield from _here(_HERE)
        return
    yield _ok(f"{config_path}: no mistakes")
    yield from _here(_HERE)
    for check in _CHECKS:
        yield from _caught(check, config)


def _here(checks: tuple[Callable[[], Iterator[Finding]], ...]) -> Iterator[Finding]:
    for check in checks:
        yield from check()


def _caught(check: Callable[[Config], Iterator[Finding]], config: Config) -> Iterator[Finding]:
    try:
        yield from check(config)
    except (VampdError, OSError, sqlite3.Error) as error:
        yield _bad(str(error), "mend that, then: vampd admin doctor")


def _programs() -> Iterator[Finding]:
    for program in _PROGRAMS:
        path = shutil.which(program)
        if path is None:
            yield _bad(f"{program} is not installed", f"install it, or correct PATH: {program}")
        else:
            yield _ok(f"{program}: {path}")


def _coder() -> Iterator[Finding]:
    choice = rice.chosen()
    if choice.is_own:
        yield _ok(choice.said)
    elif choice.is_wrong:
        yield _bad(choice.said, "install vampd again; if that does not help, report it")
    else:
        yield _warn(choice.said, "install gcc and python3-dev, then vampd again")


def _sqlite() -> Iterator[Finding]:
    text = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        yield _bad(f"{text}: too old for STRICT tables", "use a Python with SQLite 3.37 or newer")
    else:
        yield _ok(text)


def _inotify() -> Iterator[Finding]:
    limits = inotify_limits()
    watches = limits.max_user_watches
    if watches is None:
        yield _warn("inotify: the kernel does not say its limits", "files are found by scans alone")
    elif watches < _WATCHES:
        yield _warn(
            f"inotify: one user may watch {watches} folders",
            f"sysctl fs.inotify.max_user_watches={_WATCHES}; until then scans find the files",
        )
    else:
        yield _ok(f"inotify: {watches} folders may be watched")


def _service() -> Iterator[Finding]:
    if not Path("/run/systemd/system").is_dir():
        yield _warn("systemd does not run here", "somebody else must start vampd and keep it alive")
        return
    command = ["systemctl", "is-active", "vampd.service"]
    state = run(command, deadline_seconds=_DEADLINE_SECONDS).stdout.decode().strip() or "unknown"
    if state == "active":
        yield _ok("vampd.service: active")
    else:
        yield _warn(f"vampd.service: {state}", "systemctl enable --now vampd")


def _clock(config: Config) -> Iterator[Finding]:
    now_us = SystemClock().now_us()
    if now_us < _EARLIEST_US:
        yield _bad(f"the clock says {time_text(now_us)}", "set it: nights are closed by it")
        return
    if has_ledger(config.state_dir, config.reading_socket):
        with reading(config.state_dir, config.reading_socket) as ledger:
            daemon = last_daemon(ledger)
        if daemon is not None and daemon.heard_us > now_us:
            yield _bad(
                f"the clock says {time_text(now_us)}, but the daemon was heard of at "
                f"{time_text(daemon.heard_us)}",
                "set it: nights are closed by it",
            )
            return
    yield _ok(f"clock: {time_text(now_us)}")
    yield from _synchronised()


def _synchronised() -> Iterator[Finding]:
    if shutil.which("timedatectl") is None or not Path("/run/systemd/system").is_dir():
        yield _warn("nobody here says whether the clock is synchronised", "look at chrony or ntpd")
        return
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    if run(command, deadline_seconds=_DEADLINE_SECONDS).stdout.strip() == b"yes":
        yield _ok("clock: synchronised")
    else:
        yield _warn("the clock is not synchronised", "timedatectl set-ntp true, or start chrony")


def _state_directory(config: Config) -> Iterator[Finding]:
    folder = config.state_dir
    if not folder.is_dir():
        yield _bad(f"{folder}: no such folder", "make it, and give it to the daemon's user")
        return
    if closed := access.closed_to_me(folder):
        yield _bad(*closed)
        return
    yield _writable(folder, "state directory")
    for trouble in access.troubles(config):
        yield _warn(*trouble)
    yield _space(folder, _LEAST_FREE_BYTES)
    lock = daemon_lock(folder, config.reading_socket)
    yield (
        _ok(f"daemon's lock: held by {lock}")
        if lock
        else _warn("daemon's lock: nobody holds it, so no daemon runs", "systemctl start vampd")
    )


def _ledger(config: Config) -> Iterator[Finding]:
    if not os.access(config.state_dir, os.X_OK):
        return
    path = ledger_path(config.state_dir)
    if not has_ledger(config.state_dir, config.reading_socket):
        yield _ok(f"{path}: will be made at the first start")
        return
    pending = pending_migrations(path)
    if pending:
        yield _warn(
            f"{path}: lacks {', '.join(pending)}", "vampd admin migrate, or start the daemon"
        )
        return
    with reading(config.state_dir, config.reading_socket) as ledger:
        (verdict,) = ledger.execute("pragma quick_check(1)").fetchone()
        numbers = counter.findings(ledger, config.frame_ids.first) if verdict == "ok" else []
    if verdict == "ok":
        yield _ok(f"{path}: whole, schema up to date")
    else:
        yield _bad(
            f"{path}: {verdict}", "stop the daemon, move it away, then: vampd admin rebuild-db"
        )
    for text in numbers:
        yield _warn(text, "decide, then: vampd archive ids audit")


def _roots(config: Config) -> Iterator[Finding]:
    markers = {}
    if config.state_dir.is_dir() and has_ledger(config.state_dir, config.reading_socket):
        with reading(config.state_dir, config.reading_socket) as ledger:
            markers = root_markers(ledger)
    for root in config.roots:
        yield from _root(root.path, str(root.kind), markers.get(str(root.path)))
        if root.path.is_dir():
            yield _space(root.path, max(config.disk.keep_free_gb * 1e9, _LEAST_FREE_BYTES))


def _root(path: Path, kind: str, marker: str | None) -> Iterator[Finding]:
    name = f"{kind} root {path}"
    if not path.is_dir():
        yield _bad(f"{name}: no such folder", "mount its disk")
        return
    if marker is not None:
        state = check_marker(path, marker)
        if state is not MarkerState.OK:
            yield _bad(f"{name}: its marker is {state}: not the disk that it was", "mount its disk")
            return
    elif not is_mount_point(path) and not any(path.iterdir()):
        yield _warn(f"{name}: empty, and no mount point", "mount its disk")
        return
    yield _writable(path, name)


def _writable(folder: Path, name: str) -> Finding:
    owner = folder.stat()
    mode = f"owner {owner.st_uid}:{owner.st_gid}, mode {owner.st_mode & 0o7777:04o}"
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _ok(f"{name}: {mode}, uid {os.geteuid()} may write it")
    return _bad(f"{name}: {mode}, uid {os.geteuid()} may not write it", f"chown or chmod {folder}")


def _space(folder: Path, least_bytes: float) -> Finding:
    free = free_bytes(folder)
    text = f"{folder}: {size_text(free)} free"
    if free < least_bytes:
        return _warn(f"{text}, less than {size_text(int(least_bytes))}", "make room")
    return _ok(text)


def _issuer(config: Config) -> Iterator[Finding]:
    """Whether somebody is there who deals frame IDs; none is asked for."""
    settings = config.frame_ids
    if config.root_of(Kind.ARCHIVE) is None or settings.issuer == "local":
        return
    if settings.issuer == "command":
        path = shutil.which(settings.command[0])
        if path is None:
            advice = f"correct frame_ids.command: {list(settings.command)}"
            yield _bad(f"{settings.command[0]}, which deals frame IDs, cannot be run", advice)
        else:
            yield _ok(f"frame IDs are dealt by {path}")
        return
    from vampd.io.gen2 import find_service

    try:
        found = find_service(
            settings.gen2_route, str(settings.gen2_name_service), seconds=settings.deadline_seconds
        )
    except VampdError as error:
        yield _bad(str(error), "correct frame_ids.gen2_name_service, or wait for Gen2")
    else:
        yield _ok(f"frame IDs are dealt by Gen2: {found}")


def _mail(config: Config) -> Iterator[Finding]:
    """The mail server answers, and takes our password; no mail is sent."""
    # Late: they take as long to import as all else.
    from vampd.io.mail import probe

    if not config.mail.host:
        yield _ok("mail: not configured, so nobody is told anything")
        return
    server = replace(config.mail.server, deadline_seconds=_DEADLINE_SECONDS)
    try:
        probe(server)
    except VampdError as error:
        yield _bad(f"mail server {error}", "mend [mail], or ask who runs that server")
    else:
        yield _ok(f"mail server {server}: answers")
    path = Path(config.mail.password_file)
    if config.mail.password_file and path.exists() and path.stat().st_mode & 0o077:
        yield _warn(f"{path}: others may read the password", f"chmod 600 {path}")
    if not config.alerts.recipients:
        yield _warn("alerts.recipients is empty: nobody is told what goes wrong", "set it")


def _test_mail(config: Config) -> Iterator[Finding]:
    from vampd.background.mail.alerts import letter
    from vampd.io.mail import deliver

    people = config.alerts.recipients
    if not people:
        yield _bad("no test mail: alerts.recipients is empty", "set it, and mail.host")
        return
    now_us = SystemClock().now_us()
    text = "This is the test mail that `vampd admin doctor --mail` sends; nothing is wrong.\n"
    composed = letter(config, "test mail", text, f"test {now_us}", now_us)
    server = replace(config.mail.server, deadline_seconds=_MAIL_SECONDS)
    delivery = deliver(composed.content, config.mail.sender, people, server)
    for person in people:
        answer = delivery.answers.get(person)
        if answer is not None and answer.verdict == "accepted":
            yield _ok(f"test mail to {person}: taken ({answer.words}); see whether it arrives")
        else:
            words = answer.words if answer is not None else delivery.problem
            yield _bad(f"test mail to {person}: {words}", "mend [mail] or alerts.recipients")


_HERE = (_programs, _coder, _sqlite, _inotify, _service)


def _hooks(config: Config) -> Iterator[Finding]:
    for words in config.hooks.after_safe:
        if shutil.which(words[0]) is None:
            yield _bad(f"hooks.after_safe: {words[0]} cannot be run", "install it, or correct it")
        else:
            yield _ok(f"hooks.after_safe: {words[0]}")


_CHECKS = (
    _clock,
    _state_directory,
    _ledger,
    doctor_copies.examined,
    _roots,
    _issuer,
    doctor_far.examined,
    doctor_builders.examined,
    _mail,
    _hooks,
)
