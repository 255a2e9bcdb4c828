"""Many small nights that arrive together, while chance breaks what lies between; to the very end.

They become safe, the archive is told and answers, their space is given back, and every raw file is
made again from the far copies alone.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from threading import Event

from msgspec import Struct

from tests.campaigns.delivery_chain import Chain, Night, chain
from tests.support.far_side import flip_one_byte
from tests.support.mail_server import DROP, PostOffice, post_office
from tests.support.trees import digests_of_tree

_SCENES = ("pdi-short", "pdi-medium", "hst-filename", "one-frame", "one-camera", "filter-change")
_QUARANTINED = "short-txt"
_FIRST = date(2026, 1, 1)
_FAULTS_A_NIGHT = 1.5
_FLIPPED_WHEN_SAFE = 3
_SECONDS = 900.0

_MAIL = """
[mail]
host = "127.0.0.1"
port = {port}
sender = "vampd@example.org"
recipients = ["archive@example.org"]
data_host = "near"
mode = "auto"
"""
_RECLAIM = """
[reclaim]
enabled = true
outputs_after_days = 0
raw_after_days = 0
trash_days = 0
every_hours = 0.0001
"""


class Found(Struct, frozen=True, kw_only=True):
    """What was seen."""

    size_bytes: int  #: of copies that were digested, and of raw files that were made again
    orders: list[str]
    text: str


class Trouble:
    """Whatever can break and mends without anybody of vampd's side."""

    def __init__(self, chain: Chain, dice: random.Random, mover_rests: Event) -> None:
        self.chain = chain
        self.dice = dice
        self.mover_rests = mover_rests
        self.struck: Counter[str] = Counter()
        self.flipped: set[str] = set()

    def strike(self) -> None:
        """One fault, and its end."""
        fault: Callable[[], None] = self.dice.choice(
            [self.cut, self.sshd, self.stopped, self.full, self.daemon, self.flip, self.mover]
        )
        if fault != self.flip:  # it counts what it finds
            self.struck[fault.__name__] += 1
        fault()

    def _last(self, longest_seconds: float) -> None:
        time.sleep(self.dice.uniform(0.3, longest_seconds))

    def cut(self) -> None:
        self.chain.far.cut()
        self._last(6)
        self.chain.far.join()

    def sshd(self) -> None:
        self.chain.far.kill_sshd()
        self._last(3)
        self.chain.far.start_sshd()

    def stopped(self) -> None:
        self.chain.far.stop(self.chain.far.sshd.connections())
        self._last(6)
        self.chain.far.go_on()

    def full(self) -> None:
        self.chain.far.fill()
        self._last(4)
        self.chain.far.free()

    def daemon(self) -> None:
        self.chain.end(signal.SIGKILL)
        self.chain.start()

    def mover(self) -> None:
        self.mover_rests.set()
        self._last(6)
        self.mover_rests.clear()

    def flip(self) -> None:
        """A byte of a copy that was sent, and is not verified yet."""
        rows = self.chain.ask(
            "select kind, date, path from deliverable join night on night.id = night"
            " where sent_us is not null and deliverable.verified_us is null"
        )
        found = {(row["kind"], row["date"], row["path"]) for row in rows}
        self._flip_one(
            (self.chain.sent_to(night) / path, self.chain.safe_at(night) / path)
            for night in self.chain.nights
            for kind, day, path in sorted(found)
            if (kind, day) == (night.kind, night.date)
        )

    def flip_safe(self, night: Night) -> None:
        folder = self.chain.safe_at(night)
        self._flip_one((folder / path,) for path in self.chain.listed(night))

    def _flip_one(self, candidates: Iterable[tuple[Path, ...]]) -> None:
        with self.chain.moving:
            lying = [
                path
                for places in candidates
                for path in places
                if path.is_file() and path.name not in self.flipped
            ]
            if lying:
                path = self.dice.choice(lying)
                self.flipped.add(path.name)
                self.struck["a byte"] += 1
                flip_one_byte(path)


def many_nights(folder: Path, nights: int, dice: random.Random) -> Found:
    """*nights* nights from the first file to the last byte rebuilt."""
    with post_office() as office:
        office.contents.extend(["451 4.3.0 come again", DROP])
        mail, helper = _MAIL.format(port=office.port), dice.random() < 0.5
        with chain(folder, 99, helper=helper, moved=True, more=lambda text: text + mail) as made:
            quarantined = _write(made, nights, dice)
            made.start()
            with made.mover() as mover_rests:
                trouble = Trouble(made, dice, mover_rests)
                _until_safe(made, trouble, round(nights * _FAULTS_A_NIGHT))
                made.wait("the archive is told", lambda: _is_told(made, office), _SECONDS)
                _check_raw_side(made)
                outputs = _outputs(made)
                for night in dice.sample(made.nights, min(nights, _FLIPPED_WHEN_SAFE)):
                    trouble.flip_safe(night)
                _give_space_back(made, quarantined)
            size_bytes = _check_far_side(made, outputs)
            size_bytes += sum(_rebuild(made, night, folder / "again") for night in made.nights)
            made.audit_ids()
            text = _told(made, trouble, office, quarantined)
            way = "vampd-remote" if helper else "plain ssh"
            return Found(size_bytes=size_bytes, orders=made.orders, text=f"{way}; {text}")


def _write(made: Chain, nights: int, dice: random.Random) -> list[Night]:
    """Nights of both kinds; returns those with a cube that will be quarantined."""
    quarantined = []
    for number in range(nights):
        day = f"{_FIRST + timedelta(days=number):%Y%m%d}"
        scenes = dice.sample(_SCENES, 2)
        is_bad = number % 10 == 3
        kind = "engineering" if number % 3 == 2 else "archive"
        night = made.add(day, kind, [*scenes, _QUARANTINED] if is_bad else scenes)
        quarantined += [night] if is_bad else []
    return quarantined


def _until_safe(made: Chain, trouble: Trouble, most: int) -> None:
    """Strike, while there is a night that is not safe, from when the first is sent."""
    made.wait("something arrives", made.is_flowing, _SECONDS)
    for _ in range(most):
        if made.is_safe():
            break
        trouble.strike()
        made.look()
        time.sleep(trouble.dice.uniform(0.2, 2))
    made.wait("all safe", made.is_safe, _SECONDS)


def _is_told(made: Chain, office: PostOffice) -> bool:
    """Whether each line of each manifest stood in one mail, and no mail was sent in two forms."""
    manifests = [
        (made.site.root(night.kind) / night.date / f"manifest_VMP_{night.date}.csv").read_bytes()
        for night in made.nights
        if night.kind == "archive"
    ]
    forms = {each.mail["Message-ID"]: each.content for each in office.received}
    assert all(forms[each.mail["Message-ID"]] == each.content for each in office.received)
    attached = {each.mail["Message-ID"]: each.attachment for each in office.accepted}
    told = [line for attachment in attached.values() for line in attachment.splitlines()]
    assert len(told) == len(set(told)), "a file was told twice"
    return sorted(told) == sorted(line for text in manifests for line in text.splitlines())


def _check_raw_side(made: Chain) -> None:
    """No raw file was touched, and every frame is in one place."""
    for night in made.nights:
        made.check_raw(night)
    made.audit_ids()


def _outputs(made: Chain) -> dict[str, dict[str, str]]:
    """Digests of all outputs as they lie here, before they go."""
    return {
        f"{night.kind} {night.date}": digests_of_tree(
            made.site.root(night.kind) / night.date / "vgen2"
        )
        for night in made.nights
    }


def _give_space_back(made: Chain, quarantined: list[Night]) -> None:
    """The archive answers, an operator decides, and everything goes that may."""
    made.order(
        "archive", "ack", f"{made.nights[0].date}..{made.nights[-1].date}", "--kind", "archive"
    )
    for night in quarantined:
        let_go = ("--let-go-quarantined", "--why", "they were looked at")
        made.order("space", "reclaim", night.date, "--kind", night.kind, *let_go)
    made.end(signal.SIGTERM)
    made.site.config.write_text(made.site.config.read_text() + _RECLAIM)
    made.start()
    made.wait("all space given back", made.is_reclaimed, _SECONDS)
    made.end(signal.SIGTERM)


def _check_far_side(made: Chain, outputs: dict[str, dict[str, str]]) -> int:
    size_bytes = 0
    for night in made.nights:
        listed, there = made.listed(night), digests_of_tree(made.safe_at(night))
        assert all(there.get(path) == digest for path, digest in listed.items()), night.date
        mine = outputs[f"{night.kind} {night.date}"]
        assert all(there.get(f"vgen2/{path}") == digest for path, digest in mine.items())
        folder = made.site.root(night.kind) / night.date
        assert not any(folder.glob("vcam*/*")), f"{folder} has raw files"
        assert not any(folder.glob("vgen2/*")), f"{folder} has outputs"
        size_bytes += sum((made.safe_at(night) / path).stat().st_size for path in listed)
    assert not made.arriving(), made.arriving()
    return size_bytes


def _rebuild(made: Chain, night: Night, where: Path) -> int:
    """Make the raw files of *night* again from its far copy alone; return their bytes."""
    where.mkdir(exist_ok=True)
    again = where / f"{night.kind}-{night.date}"
    source = str(made.safe_at(night))
    done = made.site.call("data", "rebuild-raw", night.date, "--from", source, "--to", str(again))
    assert done.returncode == 0, done.stdout + done.stderr
    found = digests_of_tree(again)
    assert found == night.raw, f"{again} differs: {sorted(found.items() ^ night.raw.items())[:3]}"
    return sum(path.stat().st_size for path in again.rglob("*") if path.is_file())


def _told(made: Chain, trouble: Trouble, office: PostOffice, quarantined: list[Night]) -> str:
    struck = ", ".join(f"{count} {name}" for name, count in sorted(trouble.struck.items()))
    kinds = Counter(night.kind for night in made.nights)
    files = sum(len(made.listed(night)) for night in made.nights)
    raw = sum(len(night.raw) for night in made.nights)
    return (
        f"{kinds['archive']} archive and {kinds['engineering']} engineering nights, "
        f"{len(quarantined)} with quarantined cubes; {sum(trouble.struck.values())} faults "
        f"({struck}); {len(made.evidence())} set aside; {len(office.received)} mails received, "
        f"{len({each.mail['Message-ID'] for each in office.accepted})} different ones; "
        f"{files} copies right; {raw} raw files rebuilt bit for bit"
    )
