"""The table of threats in SECURITY.md: for each row, the tests in which it is attacked are named.

Here it is only seen to that those tests are there: a row that is new, or whose test is renamed or
gone, fails here until the table below names another. The attacks themselves are tried where they
stand.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: By the first words of the row: where it is attacked. Each names a test that does what is feared.
ATTACKS: dict[str, tuple[str, ...]] = {
    "a link, FIFO or device": (
        "tests/io/test_beneath.py::test_nothing_is_done_through_a_link",
        "tests/io/test_beneath.py::test_what_is_no_regular_file_is_neither_waited_for_nor_read",
        "tests/io/test_beneath.py::test_a_folder_that_is_swapped_for_a_link_all_the_time_leads_nobody_out",
    ),
    "a file that is another one": (
        "tests/stages/test_build.py::test_a_raw_file_that_changed_since_it_was_planned_for_is_refused",
        "tests/stages/test_reclaim.py::test_a_file_with_another_time_stays",
        "tests/stages/test_reclaim.py::test_a_link_that_took_the_name_stays",
    ),
    "hostile header, timing file or JSON": (
        "tests/io/test_header.py::test_a_cube_or_frame_of_absurd_size_is_refused",
        "tests/io/test_header.py::test_a_file_without_end_costs_no_time",
        "tests/schedule/test_hostile.py::test_whatever_workers_say_of_one_night_the_other_becomes_safe",
        "tests/poison/test_poison.py::test_every_bad_cube_is_quarantined_for_its_reason",
    ),
    "hostile or slow callers": (
        "tests/schedule/test_control.py::test_what_is_no_order_does_not_end_the_daemon",
        "tests/schedule/test_control.py::test_a_crowd_of_silent_callers_keeps_no_order_out",
        "tests/schedule/test_control.py::test_an_order_is_carried_out_in_the_name_that_the_kernel_gives",
        "tests/schedule/test_hostile.py::test_whatever_a_caller_asks_is_answered_and_both_nights_are_still_there",
    ),
    "a local user who holds a lock": (
        "tests/io/test_private.py::test_a_stranger_can_lock_nothing_of_the_daemons",
        "tests/io/test_private.py::test_a_lock_that_a_stranger_took_before_is_told_with_his_pid",
        "tests/service/test_users.py::test_a_member_may_ask_and_nothing_else",
    ),
    "a missing or exchanged disk": (
        "tests/io/test_disk.py::test_another_disk_in_the_same_place_is_foreign",
        "tests/stages/test_far_disk.py::test_nothing_is_sent_to_what_lies_in_the_disks_place_and_nothing_there_counts",
        "tests/schedule/test_disk_vanishes.py::test_whatever_is_at_work_when_the_disk_goes_is_done_again_when_it_is_back",
    ),
    "a stolen delivery key": (
        "tests/remote/test_vampd_remote.py::test_everything_else_is_refused_and_nothing_is_made",
        "tests/remote/test_vampd_remote.py::test_no_name_is_published_outside_its_night",
        "tests/remote/test_store_contract.py::test_what_was_published_is_fetched_back_where_the_key_may_read",
    ),
    "a far machine that lies": (
        "tests/stages/test_verify.py::test_a_liar_on_our_path_never_gives_verified_nor_publishes_what_is_wrong",
        "tests/stages/test_verify.py::test_a_far_program_that_only_pretends_verifies_nothing",
    ),
    "foreign evidence about frame IDs": (
        "tests/stages/test_frame_ids.py::test_one_file_far_above_all_that_is_known_moves_nothing_and_is_told",
        "tests/stages/test_frame_ids.py::test_a_number_that_a_disk_bears_is_refused_with_its_place",
    ),
    "a date that jumps": (
        "tests/ledger/test_witness.py::test_the_date_counts_for_nothing",
        "tests/schedule/test_retention.py::test_a_date_that_jumps_ahead_makes_nothing_older",
        "tests/schedule/test_clock_ahead.py::test_a_date_that_jumps_ahead_closes_no_night_at_which_the_cameras_are",
    ),
    "a bit that flips": (
        "tests/stages/test_build.py::test_a_byte_that_the_disk_flips_is_caught_before_anything_is_published",
        "tests/nights/test_scrub.py::test_ten_flipped_bits_are_found_and_mended_or_told",
    ),
    "an exchanged package": (
        "tests/service/test_lock.py::test_everything_locked_has_digests",
        "tests/service/test_lock.py::test_a_package_with_one_byte_changed_is_not_installed",
    ),
    "hostile text on the page": (
        "tests/page/test_page.py::test_a_header_s_text_stays_text",
        "tests/watch/test_scan.py::test_hostile_names_are_listed_as_one_printable_line_each",
        "tests/test_plain_text.py::test_any_text_can_be_stored_and_printed",
    ),
}


def rows() -> list[str]:
    """What each row of the table fears."""
    lines = (ROOT / "SECURITY.md").read_text().splitlines()
    cells = [re.split(r"\s*\|\s*", line)[1] for line in lines if line.startswith("| ")]
    return [cell for cell in cells if cell not in {"threat", "---"}]


def test_every_threat_has_attacks_and_every_attack_a_threat() -> None:
    first_words = {row: [words for words in ATTACKS if row.startswith(words)] for row in rows()}

    assert {row: found for row, found in first_words.items() if len(found) != 1} == {}
    assert len(first_words) == len(ATTACKS)


@pytest.mark.parametrize("words", ATTACKS)
def test_each_named_attack_is_still_among_the_tests(words: str) -> None:
    assert ATTACKS[words]
    for attack in ATTACKS[words]:
        file, _, name = attack.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        tried = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in tried, f"{attack} is gone: what attacks {words!r} now?"
