"""Read the headers of raw cubes and outputs for the table of headers. The worker's part."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from vampd.errors import InputError, RetryableError
from vampd.io.beneath import Beneath, is_folder, night_folder, open_file
from vampd.io.header import read_cards
from vampd.io.mirror import raw_file
from vampd.records import CardValue
from vampd.science.cards import parse_card

# What says of the compressed table how the image lies in it; the image's own cards are
# those with a Z before their names (FITS standard 4.0, section 10.1).
_TABLE = frozenset({"XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT"})
_TABLE_BEGINNINGS = ("TTYPE", "TFORM", "TFIELDS", "ZIMAGE", "ZCMPTYPE", "ZTILE", "ZNAME", "ZVAL")
_IMAGE = ("ZBITPIX", "ZNAXIS")
_NO_VALUE = frozenset({"", "COMMENT", "HISTORY", "CONTINUE", "HIERARCH"})


def work(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of the cards of each file of the job, by keyword; None: it cannot be read.

    RetryableError: the whole folder is away.
    """
    if not job["files"]:
        return []  # there are only headers to be forgotten
    folder = night_folder(job["folder"])
    if not is_folder(folder):
        msg = f"{folder} is not there"
        raise RetryableError(msg)
    return [{**file, "cards": _cards_of(folder, file)} for file in job["files"]]


def _cards_of(folder: Beneath, file: Mapping[str, Any]) -> dict[str, CardValue] | None:
    try:
        descriptor = open_file(raw_file(folder, file["path"]))
        try:
            cards, end = read_cards(descriptor, file["path"])
            if file["kind"] == "output":
                cards, _ = read_cards(descriptor, file["path"], offset=end, begins="XTENSION")
                cards = _image_cards(cards)
        finally:
            os.close(descriptor)
    except (OSError, InputError):
        return None
    values: dict[str, CardValue] = {}
    for card in cards:
        keyword, value = parse_card(card)
        if keyword not in _NO_VALUE:
            values.setdefault(keyword, value)
    return values


def _image_cards(cards: tuple[str, ...]) -> tuple[str, ...]:
    """The cards of the image, of those of the table that holds it compressed."""
    kept = []
    for card in cards:
        keyword = card[:8].rstrip()
        if keyword.startswith(_IMAGE):
            kept.append(f"{keyword[1:]:<8}{card[8:]}")
        elif keyword not in _TABLE and not keyword.startswith(_TABLE_BEGINNINGS):
            kept.append(card)
    return tuple(kept)
