"""Notices that the daemon is silent, from outside: run by a timer of its own, it needs no daemon.

It cannot write into the ledger, which is the daemon's; what it told is in a small file beside it.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import MsgspecError, Struct, json

from vampd.background.mail.alerts import letter
from vampd.errors import ConfigError, OperatorError, RetryableError
from vampd.io.mail import deliver
from vampd.io.private import make_private_file
from vampd.ledger.reading import reading
from vampd.settings.sections import Config
from vampd.time_units import HOUR_US
from vampd.views.conditions import silence
from vampd.views.limits import limits
from vampd.views.summaries import last_daemon

TOLD_NAME = "watchdog.json"


def watch(config: Config, now_us: int) -> None:
    """Mail the operators when the daemon fell silent, again while it is, and when it is back.

    ConfigError: there is nobody to be told. OperatorError, RetryableError: the mail was not taken;
    the next call tries again.
    """
    if not config.alerts.recipients:
        msg = "alerts.recipients is empty: nobody is to be told that the daemon is silent"
        raise ConfigError(msg)
    with reading(config.state_dir) as ledger:
        silent = silence(ledger, limits(config), now_us)
        daemon = last_daemon(ledger)
    path = config.state_dir / TOLD_NAME
    told = _read(path)
    if silent is not None:
        again_us = round(config.alerts.again_hours * HOUR_US)
        if told is None or (again_us and abs(now_us - told.told_us) >= again_us):
            _mail(config, "the daemon is silent", silent.text, now_us)
            _write(path, _Told(told_us=now_us, heard_us=silent.since_us))
    elif told is not None and daemon is not None:
        _mail(config, "the daemon is back", "the daemon is heard of again", now_us)
        path.unlink(missing_ok=True)


def _mail(config: Config, subject: str, text: str, now_us: int) -> None:
    composed = letter(config, subject, f"{text}\n", f"{subject} {now_us}", now_us)
    recipients = config.alerts.recipients
    delivery = deliver(composed.content, config.mail.sender, recipients, config.mail.server)
    if any(answer.verdict == "accepted" for answer in delivery.answers.values()):
        return
    words = "; ".join(f"{who}: {answer.words}" for who, answer in delivery.answers.items())
    msg = f"nobody was told that {subject}: {delivery.problem or words}"
    passing = delivery.problem is not None and delivery.is_passing
    raise RetryableError(msg) if passing else OperatorError(msg)


class _Told(Struct, frozen=True, kw_only=True):
    """That the daemon is silent, and when it was heard of last."""

    told_us: int
    heard_us: int | None = None


def _read(path: Path) -> _Told | None:
    """What was told already; a file that cannot be read tells nothing."""
    try:
        return json.decode(path.read_bytes(), type=_Told)
    except (OSError, MsgspecError):
        return None


def _write(path: Path, told: _Told) -> None:
    scratch = path.with_name(f"{path.name}.scratch")
    make_private_file(scratch)
    scratch.write_bytes(json.encode(told))
    scratch.replace(path)
