"""Files that come after a night is safe become a batch of their own; the first stays as it is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec import Struct

from tests.support.daemon_site import (
    DATE,
    FIRST_NUMBER,
    DaemonSite,
    add_night,
    make_site,
    products,
    raw_digests,
)
from tests.support.trees import digests_of_tree, identities_of_tree
from vampd.records import FileIdentity

#: Scenes whose files come a day late: two synchronised ones, and one of bad cubes' partners.
_LATE_SCENES = {2, 9}


class Supplemented(Struct, frozen=True, kw_only=True):
    """A site whose night was safe before the rest of its files came, and is safe again."""

    site: DaemonSite
    first: dict[str, str]  #: digests of all that lay in the night before they came
    first_identities: Mapping[str, FileIdentity]
    first_far: dict[str, str]
    late: list[str]


def _derived(site: DaemonSite) -> dict[str, str]:
    return {
        f"vgen2/{name}": digest for name, digest in digests_of_tree(site.night() / "vgen2").items()
    }


def _withhold(site: DaemonSite, paths: list[str], aside: Path) -> None:
    for path in paths:
        (aside / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site.night() / path, aside / path)


def _bring(site: DaemonSite, paths: list[str], aside: Path) -> None:
    for path in paths:
        shutil.move(aside / path, site.night() / path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Supplemented:
    site = make_site(tmp_path_factory.mktemp("supplement"))
    truth = add_night(site)
    late = [
        name
        for file in truth.files
        if file.scene in _LATE_SCENES
        for name in (file.path, str(Path(file.path).with_suffix(".txt")))
    ]
    aside = site.folder / "aside"
    _withhold(site, late, aside)
    site.run()
    assert site.status() == "safe"
    first, far = _derived(site), digests_of_tree(site.far())
    identities = dict(identities_of_tree(site.night() / "vgen2"))

    _bring(site, late, aside)
    site.run()

    return Supplemented(
        site=site, first=first, first_identities=identities, first_far=far, late=late
    )


def test_a_safe_night_becomes_safe_again_with_its_late_cubes(done: Supplemented) -> None:
    assert done.site.status() == "safe"
    [shown] = done.site.json("show", DATE)["nights"]
    assert shown["late_files"] == []
    audit = done.site.call("data", "audit", DATE)
    assert audit.returncode == 0, audit.stdout


def test_the_first_batch_is_untouched_here_and_at_the_far_end(done: Supplemented) -> None:
    site = done.site

    now, far = _derived(site), digests_of_tree(site.far())

    identities = identities_of_tree(site.night() / "vgen2")
    assert {name: now[name] for name in done.first} == done.first
    assert {name: identities[name] for name in done.first_identities} == done.first_identities
    assert {name: far[name] for name in done.first_far} == done.first_far


def test_the_supplement_has_its_own_numbers_name_changes_and_manifest(done: Supplemented) -> None:
    night = done.site.night()

    first = (night / f"manifest_VMP_{DATE}.csv").read_text().splitlines()
    second = (night / f"manifest_VMP_{DATE}.2.csv").read_text().splitlines()

    numbers = [int(line[4:12]) for line in [*first, *second]]
    assert numbers == list(range(FIRST_NUMBER, FIRST_NUMBER + len(numbers)))
    changes = (night / "vgen2/name_changes.2.txt").read_text().splitlines()
    assert [line.split("\t")[1] for line in changes] == [f"{line[:12]}.fits" for line in second]
    assert len(second) > 0


def test_only_what_is_new_is_sent(done: Supplemented) -> None:
    far = digests_of_tree(done.site.far())

    new = {name for name in far if name not in done.first_far}

    expected = {f"vgen2/{name}" for name in identities_of_tree(done.site.night() / "vgen2")}
    expected -= {f"vgen2/{name}" for name in done.first_identities}
    assert expected | {f"manifest_VMP_{DATE}.2.csv", ".vampd/night.2.log"} <= new
    assert all(name in expected or name.split(".")[-2] == "2" for name in new), new


def test_late_cubes_that_cannot_be_used_leave_the_night_safe(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    add_night(site, "small")
    site.run()
    before = products(site)
    source = next((site.night() / "vcam1").glob("*.fits"))
    bad = site.night() / "vcam1/vcam1_23:00:00.000000000.fits"
    bad.write_bytes(source.read_bytes()[:5000])

    site.run()

    assert site.status() == "safe"
    assert products(site) == before
    assert bad.exists()
    [shown] = site.json("show", DATE)["nights"]
    assert any(row["path"] == f"vcam1/{bad.name}" for row in shown["quarantine"])


@pytest.mark.parametrize(
    "gone",
    [
        "vgen2/VMPA*.fits.fz",
        "vgen2/VMPA*.txt",
        ".vampd/raw_sidecar.tar",
        f"manifest_VMP_{DATE}.csv",
    ],
)
def test_what_is_missing_of_an_earlier_batch_when_a_ledger_is_made_again_is_made_again(
    done: Supplemented, gone: str
) -> None:
    site = done.site
    before, far = products(site), digests_of_tree(site.far())
    for path in site.state.glob("ledger*"):
        path.unlink()
    missing = min(site.night().glob(gone))
    digest = hashlib.sha256(missing.read_bytes()).hexdigest()
    missing.unlink()

    rebuilt = site.json("admin", "rebuild-db")
    site.run()

    (night,) = rebuilt["nights"]
    assert any(missing.name.split(".")[0] in note for note in night["notes"])
    assert site.status() == "safe"
    assert hashlib.sha256(missing.read_bytes()).hexdigest() == digest
    assert (products(site), digests_of_tree(site.far())) == (before, far)


def test_a_restored_night_takes_all_its_files_as_one_batch(done: Supplemented) -> None:
    site = done.site
    raw = raw_digests(site)
    numbers = {
        row.split("|")[0]
        for batch in ("", ".2")
        for row in (site.night() / f"manifest_VMP_{DATE}{batch}.csv").read_text().splitlines()
    }

    restored = site.call("restore", DATE, "--force", "-y")
    left = [path.name for path in site.night().glob("**/*2.*") if "vcam" not in path.name]
    released = site.call("release", DATE)
    site.run()

    assert restored.returncode == 0, restored.stderr
    assert released.returncode == 0, released.stderr
    assert left == []
    assert site.status() == "safe"
    manifest = (site.night() / f"manifest_VMP_{DATE}.csv").read_text().splitlines()
    assert {row.split("|")[0] for row in manifest} == numbers, "identical outputs keep their IDs"
    assert not (site.night() / f"manifest_VMP_{DATE}.2.csv").exists()
    assert raw_digests(site) == raw
