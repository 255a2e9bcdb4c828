"""Bad and odd files among good cubes: each is named with its reason, and the good ones come out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec import Struct

from tests.poison.case import Case, Refused, Taken, Unseen
from tests.poison.place import FIRST_VALUE, Place
from tests.poison.write import HELD_NIGHT, NIGHT, write_corpus
from tests.support.daemon_site import DaemonSite, Settings, make_site
from tests.support.finished_nights import outputs_of

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_MOST_BYTES = 512 << 20  #: of the daemon or a worker, resident
_RUN_SECONDS = 300.0

#: Do the words, and say how many KiB the largest of their processes held: in a process of its own,
#: because pytest's counts what all tests before ran, and hands its own size on to its children.
_MEASURED = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


class Eaten(Struct, frozen=True, kw_only=True):
    """The corpus, and what came of it."""

    site: DaemonSite
    corpus: Mapping[Case, Place]
    raw: Mapping[str, Mapping[str, Any]]  #: of the first night, as `vampd data files` tells it
    told: str  #: of the second one, as `vampd show` tells it
    frames: Counter[int]  #: how many frames were delivered, by the value of their pixels
    most_bytes: int  #: that the daemon or one of its workers held


@pytest.fixture(scope="module")
def eaten() -> Iterator[Eaten]:
    with TemporaryDirectory(prefix="vampd-poison-", dir=_MEMORY) as folder:
        site = make_site(Path(folder), Settings(processes=2))
        corpus = write_corpus(site.root())  # the second night is held
        most_bytes = most_bytes_of(site.words("admin", "run", "--until-idle"), status=1)
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
            most_bytes=most_bytes,
        )


def most_bytes_of(words: list[str], *, status: int) -> int:
    """Do *words*, which end with exit *status*; what the largest of their processes held."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
    )
    assert done.returncode == status, done.stderr[-3000:]
    return int(done.stdout) * 1024


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


def test_the_corpus_is_large_and_costs_little_memory(eaten: Eaten) -> None:
    assert len(eaten.corpus) >= 150
    assert eaten.most_bytes < _MOST_BYTES
