"""The whole chain between two hosts, while everything between them breaks.

    python -m tests.campaigns.delivery [--nights N] [--only NAME] [--way helper|plain]

Each scenario has its own far host (see `delivery_hosts`), once with vampd-remote as the key's
forced command, and once with a login shell and coreutils. Then N nights that arrive together, with
faults as chance has it, to the mail, the archive's word, reclaim and raw files rebuilt.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from tests.campaigns.delivery_chain import Chain, chain, slowly
from tests.campaigns.delivery_hosts import in_own_world, is_own_world
from tests.campaigns.delivery_thirty import many_nights
from tests.support.far_side import flip_one_byte
from tests.support.reference_night import copy_reference_night, has_reference_night
from vampd.simulation.reference_scenes import REFERENCE_SCENES

#: A question for digests is given up after 300 s and more, an rsync that is silent after 600 s (its
#: own --timeout does not strike while its receiver is stopped and the connection is not).
_LONGEST_SECONDS = 800.0
_SHOWN = 200  # characters of a cause


def undisturbed(chain: Chain) -> str:
    if has_reference_night:
        date = copy_reference_night(chain.site.root()).name
        chain.adopt(date, "archive")
    else:
        chain.add(scenes=tuple(REFERENCE_SCENES))
    chain.add(kind="engineering")
    chain.start()
    with chain.mover():
        chain.wait("safe", chain.is_safe)
    return "the reference night" if has_reference_night else "its simulated twin"


def cut_in_transfer(chain: Chain) -> str:
    _begin(chain, chain.is_flowing)
    chain.far.cut()
    chain.wait("the cut is told", lambda: chain.says("waiting", "rsync", "connect", "ssh"))
    chain.far.join()
    return "cut while bytes arrived"


def cut_in_verify(chain: Chain) -> str:
    _begin_verify(chain)
    chain.far.cut()
    chain.far.let_go("digest")
    chain.wait("the cut is told", lambda: chain.says("waiting", "Timeout", "connect", "route"))
    chain.far.join()
    return "cut while digests were computed"


def sshd_killed(chain: Chain) -> str:
    _begin(chain, chain.is_flowing)
    chain.far.kill_sshd()
    chain.wait("the loss is told", lambda: chain.says("waiting", "refused"))
    chain.far.start_sshd()
    return "killed while bytes arrived"


def connection_stopped(chain: Chain) -> str:
    _begin(chain, chain.is_flowing)
    chain.far.stop(chain.far.sshd.connections())
    chain.wait("the silence is told", lambda: chain.says("waiting", "not responding"))
    chain.far.go_on()
    return "sshd's process of the connection stopped until ssh gave up"


def receiver_stopped(chain: Chain) -> str:
    _begin(chain, lambda: chain.is_flowing() and chain.far.receivers())
    chain.far.stop(chain.far.receivers())
    told = "rsync was ended"
    chain.wait("the silence is told", lambda: chain.says("waiting", told), _LONGEST_SECONDS)
    chain.far.go_on()
    return "the far rsync stopped until the near one gave up"


def digest_stopped(chain: Chain) -> str:
    _begin_verify(chain)
    told = "ssh was ended"
    chain.wait("the silence is told", lambda: chain.says("waiting", told), _LONGEST_SECONDS)
    chain.far.let_go("digest")
    return "digests held back until the question was given up"


def disk_full(chain: Chain) -> str:
    chain.far.fill()
    _begin(chain, lambda: chain.says("waiting", "No space left", "full disk"))
    chain.far.free()
    return "full, then freed"


def disk_fills(chain: Chain) -> str:
    _begin(chain, chain.is_flowing)
    chain.far.fill()
    chain.wait("it is told", lambda: chain.says("waiting", "No space left", "full disk"))
    chain.far.free()
    return "filled while bytes arrived, then freed"


def host_key_changed(chain: Chain) -> str:
    chain.far.kill_sshd()
    chain.far.sshd.make_host_key()
    chain.far.start_sshd()
    _begin(chain, lambda: chain.says("failed", "Host key verification failed"))
    chain.far.sshd.remember_host_key()
    chain.order("retry", chain.nights[0].date)
    return "failed by name; known_hosts mended, then retry"


def flipped_before_verify(chain: Chain) -> str:
    _begin(chain, chain.is_sent)
    rotten = _flip(chain.sent_to(chain.nights[0]))
    chain.wait("it was set aside", lambda: rotten in chain.evidence())
    return "one byte flipped between transfer and verify; evidence kept"


def flipped_when_safe(chain: Chain) -> str:
    _to_safe(chain)
    rotten = _flip(chain.safe_at(chain.nights[0]))
    chain.orders.append("verify --record")
    date = chain.nights[0].date
    assert chain.site.call("data", "verify", date, "--record").returncode == 0
    chain.wait("it was set aside", lambda: rotten in chain.evidence())
    return "found by verify --record; evidence kept"


def flipped_found_by_age(chain: Chain) -> str:
    _to_safe(chain)
    _flip(chain.safe_at(chain.nights[0]))
    chain.wait("it is found", lambda: not chain.is_safe())
    return "found by age, where it was moved to"


def foreign_file(chain: Chain) -> str:
    night = chain.add()
    foreign = chain.sent_to(night) / f"manifest_VMP_{night.date}.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("somebody else's\n")
    chain.start()
    chain.wait("held", lambda: chain.says("held", "are not vampd's"))
    assert foreign.read_text() == "somebody else's\n"
    assert list(foreign.parent.glob("vgen2/*.fz")), "the others arrived"
    foreign.rename(chain.far.disk / "put elsewhere")
    chain.order("retry", night.date)
    return "held by name, not touched, the others sent; moved away, then retry"


def killed_in_transfer(chain: Chain) -> str:
    _begin(chain, chain.is_flowing)
    chain.end(signal.SIGKILL)
    chain.start()
    return "daemon killed while bytes arrived"


def killed_in_verify(chain: Chain) -> str:
    _begin_verify(chain)
    chain.end(signal.SIGKILL)
    chain.far.let_go("digest")
    chain.start()
    return "daemon killed while digests were computed"


def mover_late(chain: Chain) -> str:
    # Said for an instant: it is sent again at once.
    _begin(chain, lambda: "for nobody moved them within" in chain.site.log())
    return "told that nobody moves them, and sent again; then they were moved"


def _begin(chain: Chain, until: Callable[[], object]) -> None:
    chain.add()
    chain.start()
    chain.wait("the scenario's moment", until)


def _begin_verify(chain: Chain) -> None:
    """Until the digests of the sent files are being computed; nobody moved them on."""
    _begin(chain, chain.is_sent)
    chain.far.hold("digest")
    chain.wait("digests are asked for", lambda: chain.far.is_reached("digest"))


def _to_safe(chain: Chain) -> None:
    chain.add()
    chain.start()
    with chain.mover():
        chain.wait("safe", chain.is_safe)


def _flip(folder: Path) -> str:
    """Flip a byte of a cube in *folder*; return the digest that it has then."""
    cube = min(folder.glob("vgen2/*.fits.fz"))
    flip_one_byte(cube)
    return hashlib.sha256(cube.read_bytes()).hexdigest()


def _hasty(text: str) -> str:
    return text.replace("destination =", "verify_after_hours = 0.001\ndestination =")


def _by_age(text: str) -> str:
    return text.replace("destination =", "reverify_days = 0.00001\ndestination =")


class Scenario(Struct, frozen=True, kw_only=True):
    """What happens, and how the site is set for it."""

    play: Callable[[Chain], str]  #: until the last fault is over; returns what was done
    moved: bool = True  #: whether files count as safe only where somebody moves them
    settings: Callable[[str], str] | None = None
    waits: bool = False  #: nothing but a deadline of minutes is awaited

    @property
    def name(self) -> str:
        return self.play.__name__.replace("_", "-")


SCENARIOS = (
    Scenario(play=receiver_stopped, settings=slowly, waits=True),
    Scenario(play=digest_stopped, waits=True),
    Scenario(play=undisturbed),
    Scenario(play=cut_in_transfer, settings=slowly),
    Scenario(play=cut_in_verify),
    Scenario(play=sshd_killed, settings=slowly),
    Scenario(play=connection_stopped, settings=slowly),
    Scenario(play=disk_full),
    Scenario(play=disk_fills, settings=slowly),
    Scenario(play=host_key_changed),
    Scenario(play=flipped_before_verify),
    Scenario(play=flipped_when_safe, moved=False),
    Scenario(play=flipped_found_by_age, settings=_by_age),
    Scenario(play=foreign_file, moved=False),
    Scenario(play=killed_in_transfer, settings=slowly),
    Scenario(play=killed_in_verify),
    Scenario(play=mover_late, settings=_hasty),
)
_NEEDS_DISK = frozenset({"disk-full", "disk-fills"})


class Ending(Struct, frozen=True, kw_only=True):
    """How one scenario ended."""

    name: str
    how: str
    seconds: float
    size_bytes: int
    orders: Sequence[str]
    seen: str
    causes: Sequence[str] = ()
    error: str = ""


def play(folder: Path, number: int, scenario: Scenario, *, helper: bool) -> Ending:
    """Play one scenario until its nights are safe, and check that nothing is lost."""
    name = f"{scenario.name} ({'helper' if helper else 'plain ssh'})"
    began = time.monotonic()
    made: Chain | None = None
    how, seen, error, size_bytes = "safe", "", "", 0
    try:
        with chain(
            folder, number, helper=helper, moved=scenario.moved, more=scenario.settings
        ) as made:
            seen = scenario.play(made)
            with made.mover():
                made.wait("safe in the end", made.is_safe)
            made.end(signal.SIGTERM)
            size_bytes = made.check()
    except Exception:  # noqa: BLE001 - the others are to be played too
        how, error = "WRONG", traceback.format_exc()
    ending = Ending(
        name=name,
        how=how,
        seconds=time.monotonic() - began,
        size_bytes=size_bytes,
        orders=made.orders if made else [],
        seen=seen,
        causes=made.causes if made else [],
        error=error,
    )
    tell(ending)
    return ending


def tell(ending: Ending) -> None:
    """One scenario's line, and what its nights said on the way."""
    causes = [f"    {cause[:_SHOWN]}" for cause in ending.causes]
    print("\n".join([_line(ending), *causes, *ending.error.splitlines()]), flush=True)


def _line(ending: Ending) -> str:
    orders = f"; orders: {', '.join(ending.orders)}" if ending.orders else ""
    return f"{ending.name:<36} {ending.how:<7} {ending.seconds:6.1f} s  {ending.seen}{orders}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--only", help="scenarios whose name contains this; 'nights': those")
    parser.add_argument("--way", choices=["helper", "plain"])
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    chosen = parser.parse_args(arguments)
    why_not = in_own_world(["tests.campaigns.delivery", *arguments])
    print("two hosts in network namespaces" if why_not is None else f"on the loopback: {why_not}")
    with tempfile.TemporaryDirectory(prefix="vampd-delivery-") as name:
        endings = _play_all(Path(name), chosen)
        if chosen.nights and chosen.only in {None, "nights"}:
            endings.append(_play_nights(Path(name), chosen.nights, chosen.seed))
    print("\n".join(["", *map(_line, endings), ""]))
    wrong = [ending.name for ending in endings if ending.how == "WRONG"]
    size_mb = sum(ending.size_bytes for ending in endings) / 1e6
    print(f"{len(endings)} endings, {len(wrong)} wrong, {size_mb:.1f} MB of copies digested")
    if not endings:
        names = ", ".join(sorted(scenario.name for scenario in SCENARIOS))
        print(f"nothing was played: --only is none of nights, {names}")
    return 1 if wrong or not endings else 0


def _play_all(folder: Path, chosen: argparse.Namespace) -> list[Ending]:
    scenarios = [
        (scenario, helper)
        for scenario in SCENARIOS
        for way, helper in (("helper", True), ("plain", False))
        if chosen.way in {None, way}
        if chosen.only is None or chosen.only in scenario.name
        if is_own_world() or scenario.name not in _NEEDS_DISK
    ]
    with (
        ThreadPoolExecutor(chosen.at_once) as busy,
        ThreadPoolExecutor(len(scenarios) or 1) as waiting,
    ):
        playing = [
            (waiting if scenario.waits else busy).submit(
                play, folder / str(number), number, scenario, helper=helper
            )
            for number, (scenario, helper) in enumerate(scenarios, 1)
        ]
        return [each.result() for each in playing]


def _play_nights(folder: Path, nights: int, seed: int) -> Ending:
    began = time.monotonic()
    how, seen, error, size_bytes, orders = "WRONG", f"seed {seed}", "", 0, []
    try:
        found = many_nights(folder / "nights", nights, random.Random(seed))
        size_bytes, orders, how = found.size_bytes, found.orders, "rebuilt"
        seen = f"seed {seed}: {found.text}"
    except Exception:  # noqa: BLE001 - what was seen before is to be told
        error = traceback.format_exc()
    ending = Ending(
        name=f"{nights} nights",
        how=how,
        seconds=time.monotonic() - began,
        size_bytes=size_bytes,
        orders=orders,
        seen=seen,
        error=error,
    )
    tell(ending)
    return ending


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
