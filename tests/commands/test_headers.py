"""Every header is in the table, as the file has it, and the table obeys SQL."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from astropy.table import Table

from tests.support.daemon_site import DATE, DaemonSite, add_night, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DaemonSite:
    """A site with a safe archive night."""
    site = make_site(tmp_path_factory.mktemp("headers"))
    add_night(site, "small")
    site.run()
    return site


def _files(site: DaemonSite, *words: str) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = site.json("data", "headers", DATE, *words)["files"]
    return files


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, str):
        return bool(found == expected.rstrip())
    return bool(found == expected)


def test_every_card_of_every_raw_cube_is_there(site: DaemonSite) -> None:
    rows = {row["file_path"]: row for row in _files(site, "--raw")}

    for path in site.night().glob("vcam?/*.fits"):
        try:
            header = fits.getheader(path)
        except OSError:
            continue  # one of the bad ones
        row = rows[f"{path.parent.name}/{path.name}"]
        wrong = {
            card.keyword: (row.get(card.keyword), card.value)
            for card in header.cards
            if card.keyword not in {"", "COMMENT", "HISTORY"}
            and not isinstance(card.value, fits.card.Undefined)
            and not _same(row.get(card.keyword), header[card.keyword])
        }
        assert not wrong, path
    assert len(rows) > 10


def test_every_output_is_there_with_the_image_s_own_cards(site: DaemonSite) -> None:
    rows = {row["file_path"]: row for row in _files(site, "--outputs")}

    outputs = sorted((site.night() / "vgen2").glob("*.fits.fz"))
    assert rows.keys() == {f"vgen2/{path.name}" for path in outputs}
    for path in outputs:
        with fits.open(path) as units:
            header = units[1].header
            row = rows[f"vgen2/{path.name}"]
            for keyword in (
                "NAXIS",
                "NAXIS1",
                "NAXIS2",
                "NAXIS3",
                "BITPIX",
                "U_SYNC",
                "U_FLC",
                "FRAMEID",
                "MJD",
                "UT-STR",
                "OBJECT",
                "EXPTIME",
            ):
                assert _same(row[keyword], header[keyword]), (path.name, keyword)
    assert not {"ZIMAGE", "ZTILE1", "TFORM1"} & set(rows[f"vgen2/{outputs[0].name}"])


def test_files_are_sorted_out_by_sql(site: DaemonSite) -> None:
    everything = _files(site, "--outputs")

    some = _files(site, "--outputs", "--where", "U_SYNC and \"U_FLC\" = 'A'")

    expected = [row for row in everything if row["U_SYNC"] and row["U_FLC"] == "A"]
    assert 0 < len(some) < len(everything)
    assert some == expected


def test_a_wrong_expression_is_told_with_what_a_right_one_looks_like(site: DaemonSite) -> None:
    refused = site.call("data", "headers", DATE, "--where", "RET-ANG1 >")

    assert refused.returncode == 64
    assert "RET-ANG1 >" in refused.stderr
    assert '"RET-ANG1" > 3' in refused.stderr


def test_an_unknown_card_is_told_with_the_nearest_known(site: DaemonSite) -> None:
    refused = site.call("data", "headers", DATE, "--columns", "OBJEKT")

    assert refused.returncode == 64
    assert "OBJECT" in refused.stderr


@pytest.mark.parametrize("form", ["csv", "ecsv", "fits"])
def test_each_form_holds_the_same_table(site: DaemonSite, tmp_path: Path, form: str) -> None:
    columns = ["file_path", "OBJECT", "EXPTIME", "NAXIS3", "U_FLC"]
    expected = _files(site, "--columns", ",".join(columns))
    target = tmp_path / f"table.{form}"

    done = site.call(
        "data", "headers", DATE, "--columns", ",".join(columns), "-o", form, "--to", str(target)
    )

    assert done.returncode == 0, done.stderr
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(target.read_text())))
        assert [row["file_path"] for row in rows] == [row["file_path"] for row in expected]
        assert [float(row["EXPTIME"] or -1) for row in rows] == [
            -1 if row["EXPTIME"] is None else row["EXPTIME"] for row in expected
        ]
        return
    table = Table.read(target, format="fits" if form == "fits" else "ascii.ecsv")
    assert [str(value) for value in table["file_path"]] == [row["file_path"] for row in expected]
    assert [int(value) for value in table["NAXIS3"]] == [row["NAXIS3"] for row in expected]


def test_a_file_that_is_there_is_not_written_over(site: DaemonSite, tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("precious")

    refused = site.call("data", "headers", DATE, "-o", "csv", "--to", str(target))

    assert refused.returncode == 1
    assert target.read_text() == "precious"


def test_a_lost_table_is_filled_again(site: DaemonSite) -> None:
    before = json.dumps(_files(site))
    for path in site.state.glob("headers.sqlite3*"):
        path.unlink()
    truncated = site.call("data", "headers", DATE)

    site.run()

    assert truncated.returncode == 1
    assert json.dumps(_files(site)) == before


def test_headers_of_outputs_that_were_restored_go(site: DaemonSite) -> None:
    restored = site.call("restore", DATE, "--force", "-y")
    assert restored.returncode == 0, restored.stderr

    site.run(status=1)  # for the night is held

    assert {row["file_kind"] for row in _files(site)} == {"raw"}
    site.call("release", DATE)
    site.run()
    assert {row["file_kind"] for row in _files(site)} == {"raw", "output"}
