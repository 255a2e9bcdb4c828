"""Bad and odd files among good cubes: each is named with its reason, and the good ones come out."""

from __future__ import annotations

import os
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.poison.case import Case, Refused, Taken, Unseen
from tests.poison.place import FIRST_VALUE, Place
from tests.poison.write import HELD_NIGHT, NIGHT, write_corpus
from tests.support.daemon_site import DaemonSite, Settings, make_site
from tests.support.finished_nights import outputs_of

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_LONGEST_SECONDS = 110.0  #: ten where nobody else works
_MOST_BYTES = 512 << 20  #: of the daemon or a worker, resident

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes devices")


@dataclass(frozen=True, kw_only=True, slots=True)
class Eaten:
    """The corpus, and what came of it."""

    site: DaemonSite
    corpus: Mapping[Case, Place]
    raw: Mapping[str, Mapping[str, Any]]  #: of the first night, as `vampd data files` tells it
    told: str  #: of the second one, as `vampd show` tells it
    frames: Counter[int]  #: how many frames were delivered, by the value of their pixels
    seconds: float


@pytest.fixture(scope="module")
def eaten() -> Iterator[Eaten]:
    with TemporaryDirectory(prefix="vampd-poison-", dir=_MEMORY) as folder:
        site = make_site(Path(folder), Settings(processes=2))
        corpus = write_corpus(site.root())
        began = time.monotonic()
        site.run(status=1)  # the second night is held
        seconds = time.monotonic() - began
        [files] = site.json("data", "files", NIGHT, "--all")["nights"]
        frames = Counter(
            int(frame[0, 0]) for output in outputs_of(site, "archive") for frame in output.frames
        )
        yield Eaten(
            site=site,
            corpus=corpus,
            raw={row["path"]: row for row in files["raw"]},
            told=str(site.json("show", HELD_NIGHT)),
            frames=frames,
            seconds=seconds,
        )


def test_every_bad_cube_is_quarantined_for_its_reason(eaten: Eaten) -> None:
    wrong = []
    for case, place in eaten.corpus.items():
        if isinstance(case.expected, Refused):
            row = eaten.raw[f"vcam1/{place.cube.name}"]
            is_named = re.search(case.expected.reason, row["reason"] or "")
            if row["state"] != "quarantined" or not is_named:
                wrong.append(f"{case.name}: {row['state']}: {row['reason']}")

    assert not wrong, "\n".join(wrong)


def test_every_good_cube_is_delivered_whole_and_no_bad_one_is(eaten: Eaten) -> None:
    due = Counter(
        {
            place.value: case.expected.frames
            for case, place in eaten.corpus.items()
            if isinstance(case.expected, Taken)
        }
    )

    names = {place.value: case.name for case, place in eaten.corpus.items()}
    wrong = {
        f"{names.get(value, value)}: {eaten.frames[value]} of {due[value]} frames"
        for value in due.keys() | eaten.frames.keys()
        if due[value] != eaten.frames[value]
    }
    assert not wrong, "\n".join(sorted(wrong))
    assert min(due) >= FIRST_VALUE


def test_the_night_of_bad_cubes_is_safe_and_every_frame_is_accounted_for(eaten: Eaten) -> None:
    [night] = [one for one in eaten.site.json("status")["nights"] if one["date"] == NIGHT]
    audit = eaten.site.call("data", "audit", NIGHT)

    assert night["status"] == "safe"
    assert audit.returncode == 0, audit.stdout


def test_what_nobody_takes_is_told_and_holds_its_night(eaten: Eaten) -> None:
    [night] = [one for one in eaten.site.json("status")["nights"] if one["date"] == HELD_NIGHT]
    silent = [
        case.name
        for case, place in eaten.corpus.items()
        if isinstance(case.expected, Unseen)
        and not re.search(case.expected.told.replace("{stem}", re.escape(place.stem)), eaten.told)
    ]

    assert night["status"] == "held"
    assert not silent, "\n".join(silent) + eaten.told


def test_the_corpus_costs_little_time_and_memory(eaten: Eaten) -> None:
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

    assert len(eaten.corpus) >= 150
    assert eaten.seconds < _LONGEST_SECONDS
    assert most < _MOST_BYTES
