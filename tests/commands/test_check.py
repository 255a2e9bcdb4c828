"""`check` says in one line whether all is well, to programs that never read a second one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from tests.support.mail_server import PostOffice, post_office
from vampd.io.clock import SystemClock
from vampd.states import Kind, NightStatus, Stage

_MINUTE_US = 60_000_000

#: Monitoring Plugins' guidelines: 'label'=value[unit];[warn];[crit];[min];[max].
_DATA = re.compile(r"'[^'=|]+'=-?[0-9.]+[a-zA-Z%]*(;[0-9.:]*){0,4}")


def limits(site: Site, **changes: object) -> None:
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in changes.items()]
    with site.config.open("a") as settings:
        settings.write("[alerts]\ndisk_free_gb = 0\n" + "".join(lines))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    heard(site, minutes_ago=0)
    return site


def heard(site: Site, *, minutes_ago: float, stopped: bool = False) -> None:
    heard_us = SystemClock().now_us() - round(minutes_ago * _MINUTE_US)
    site.execute("delete from daemon")
    site.insert(
        "daemon",
        started_us=heard_us - 1,
        pid=1,
        version="0.1.0",
        heard_us=heard_us,
        stopped_us=heard_us if stopped else None,
    )


def said(site: Site, *words: str) -> tuple[int, str]:
    result = site.run("check", *words)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_all_is_well_is_one_line_with_its_data(site: Site) -> None:
    limits(site)
    site.night("20251105", "safe")
    site.insert("disk", path="/data", present=1, free_bytes=5, total_bytes=9, looked_us=1)

    code, line = said(site)

    text, _, data = line.rstrip("\n").partition(" | ")
    assert (code, text) == (0, "VAMPD OK - all is well")
    items = re.split(r" (?=')", data)
    assert [item for item in items if not _DATA.fullmatch(item)] == []
    assert "'safe'=1;;;0" in items
    assert "'failed'=0;;0;0" in items
    assert "'free /data'=5B;0:;0:;0;9" in items
    labels = [item.split("'")[1] for item in items]
    assert labels[: len(NightStatus)] == [str(status) for status in NightStatus]
    assert {"heard", "oldest_failing", "unacknowledged"} <= set(labels)


def test_a_failed_night_is_critical_and_told_first_in_one_line(site: Site) -> None:
    limits(site)
    night = site.night("20251105", "failed", cause="transfer: a | b\nand more")
    since_us = SystemClock().now_us() - 90 * _MINUTE_US
    site.task(night, Stage.TRANSFER, "failed", error="no", failing_since_us=since_us)

    code, line = said(site)

    assert code == 2
    assert line.startswith(
        "VAMPD CRITICAL - archive 20251105 failed: transfer: a / b: see `vampd show 20251105` and"
        " the journal; then: vampd retry 20251105 | "
    )
    assert line.count("\n") == 1
    assert re.search(r"'oldest_failing'=54\d\ds;", line)


def test_a_night_whose_date_has_one_of_each_kind_is_named_with_its_kind(site: Site) -> None:
    limits(site)
    site.night("20251105", "failed", cause="transfer: no", kind=Kind.ENGINEERING)
    site.night("20251105", "safe")

    _, line = said(site)

    assert "vampd show 20251105 --kind engineering |" in line


def test_what_can_wait_until_the_morning_is_a_warning(site: Site) -> None:
    limits(site)
    site.insert("disk", path="/data", present=1, free_bytes=5, total_bytes=9, looked_us=1)
    site.config.write_text(site.config.read_text().replace("disk_free_gb = 0", "disk_free_gb = 1"))

    code, line = said(site)

    assert code == 1
    assert line.startswith("VAMPD WARNING - /data: 0.0 GB free: make room | ")
    assert "'free /data'=5B;1000000000:;0:;0;9" in line


def test_more_than_three_things_are_counted(site: Site) -> None:
    limits(site)
    for day in range(1, 6):
        site.night(f"2025110{day}", "held", cause=f"why {day}")

    code, line = said(site)

    assert code == 2
    assert line.split(" | ")[0].endswith("; and 2 more")


def test_nights_that_stand_for_the_same_cause_are_told_once(site: Site) -> None:
    limits(site)
    for day in range(1, 6):
        site.night(f"2025110{day}", "held", cause="why")

    _, line = said(site)

    assert line.split(" | ")[0].endswith("vampd release 20251101 (and so for 4 more nights)")


@pytest.mark.parametrize(("stopped", "how"), [(False, "not stopped in order"), (True, "stopped")])
def test_a_silent_daemon_is_critical(site: Site, *, stopped: bool, how: str) -> None:
    limits(site, silent_minutes=5)
    heard(site, minutes_ago=6, stopped=stopped)

    code, line = said(site)

    assert code == 2
    assert f"the daemon was last heard of 6 min ago and was {how}" in line


@pytest.mark.parametrize("damage", ["no ledger", "no settings", "wrong settings", "old ledger"])
def test_what_cannot_be_told_is_unknown(site: Site, damage: str) -> None:
    if damage == "no ledger":
        site.ledger.unlink()
    elif damage == "no settings":
        site.config.unlink()
    elif damage == "wrong settings":
        site.config.write_text("x = 1")
    else:
        site.execute("drop table disk")

    code, line = said(site)

    assert code == 3
    assert line.startswith("VAMPD UNKNOWN - ")
    assert line.count("\n") == 1


def test_programs_may_have_json(site: Site) -> None:
    limits(site)
    site.night("20251105", "held", cause="quality")

    code, output = said(site, "--json")

    answer = json.loads(output)
    assert (code, answer["schema"], answer["status"]) == (2, 1, "CRITICAL")
    (condition,) = answer["conditions"]
    assert (condition["severity"], condition["name"]) == ("critical", "held:1")


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


def watched(site: Site, office: PostOffice) -> None:
    with site.config.open("a") as settings:
        settings.write(
            f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\nsender = "vampd@example.org"\n'
        )
    limits(site, recipients=["operator@example.org"], silent_minutes=5)


def test_a_silent_daemon_is_mailed_once_and_its_return_too(site: Site, office: PostOffice) -> None:
    watched(site, office)
    heard(site, minutes_ago=6)

    codes = [said(site, "--alert")[0] for _ in range(2)]
    heard(site, minutes_ago=0)
    codes += [said(site, "--alert")[0] for _ in range(2)]

    assert codes == [2, 2, 0, 0]
    silent, back = office.accepted
    assert "the daemon is silent" in silent.mail["Subject"]
    assert "was last heard of 6 min ago" in silent.text
    assert "the daemon is back" in back.mail["Subject"]


def test_a_mail_that_was_not_taken_is_tried_at_the_next_call(
    site: Site, office: PostOffice
) -> None:
    watched(site, office)
    heard(site, minutes_ago=6)
    office.senders.append("451 busy")

    first, line = said(site, "--alert")
    second, _ = said(site, "--alert")

    assert (first, second) == (3, 2)
    assert "nobody was told that the daemon is silent" in line
    assert len(office.accepted) == 1


def test_to_alert_somebody_must_be_named(site: Site) -> None:
    limits(site)

    code, line = said(site, "--alert")

    assert code == 3
    assert "alerts.recipients is empty" in line
