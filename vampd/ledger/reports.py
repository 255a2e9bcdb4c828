"""What the stages have to say of a night that stops nothing."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import asdict

from vampd.ledger.connection import Ledger
from vampd.ledger.nights import batch_of
from vampd.records import Report
from vampd.science.quality import Quality
from vampd.states import Stage


def add_reports(ledger: Ledger, night: int, stage: Stage, reports: Iterable[Report]) -> None:
    """Keep what operators should know and what stops nothing; the same is said once."""
    batch, said = batch_of(ledger, night), _said(ledger, night, stage)
    for report in reports:
        if (report.raw_file, report.text) not in said:
            said.add((report.raw_file, report.text))
            ledger.execute(
                "insert into report (night, batch, stage, raw_file, text) values (?, ?, ?, ?, ?)",
                [night, batch, stage, report.raw_file, report.text],
            )


def _said(ledger: Ledger, night: int, stage: Stage) -> set[tuple[int | None, str]]:
    """What a stage reported of a night so far: by raw file, and its text."""
    rows = ledger.execute(
        "select raw_file, text from report where night = ? and stage = ?", [night, stage]
    )
    return {(row["raw_file"], row["text"]) for row in rows}


def add_card_report(ledger: Ledger, night: int, what: str, where: str) -> None:
    """Keep *what* became of a header card, once a batch, with the first place *where* it was seen.

    The first by name: whatever the order in which the cubes were built, the same is told.
    """
    values = {"night": night, "batch": batch_of(ledger, night), "stage": Stage.BUILD, "what": what}
    values["text"] = f"{what}; first in {where}"
    same = (
        "night = :night and batch = :batch and stage = :stage"
        " and substr(text, 1, length(:what) + 1) = :what || ';'"
    )
    ledger.execute(f"update report set text = :text where {same} and text > :text", values)  # noqa: S608
    ledger.execute(
        "insert into report (night, batch, stage, text) select :night, :batch, :stage, :text"  # noqa: S608
        f" where not exists (select 1 from report where {same})",
        values,
    )


def tried_headers(ledger: Ledger, night: int) -> list[str]:
    """Headers with which others were seen to read cubes of the night, by their digests."""
    rows = ledger.rows("select digest from tried_header where night = ? order by digest", [night])
    return [row["digest"] for row in rows]


def add_tried_headers(ledger: Ledger, night: int, digests: Iterable[str]) -> None:
    """Others were seen to read cubes with these headers."""
    for digest in digests:
        ledger.execute("insert or ignore into tried_header values (?, ?)", [night, digest])


def store_quality(ledger: Ledger, night: int, quality: Quality) -> None:
    """Keep the quality of the night's batch, in place of an older plan's."""
    ledger.execute(
        "insert or replace into quality (night, batch, expected, synchronised, with_flc, a, b,"
        " dubious, drift_us) values (:night, (select batch from night where id = :night),"
        " :expected, :synchronised, :with_flc, :a, :b, :dubious, :drift_us)",
        {"night": night, **asdict(quality)},  # what is rejected stands in the segments
    )
