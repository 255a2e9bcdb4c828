"""That README, the manual and the ledger's schema say the words that the code says."""

from __future__ import annotations

import os
import re
import sqlite3
from enum import StrEnum
from pathlib import Path

import pytest

from tests.support.command_line import command_of
from vampd import states
from vampd.allowed import Outcome, decide
from vampd.commands.names import COMMANDS, GROUPS
from vampd.ledger.local_copies import Side, Verdict
from vampd.shipped import default_config
from vampd.standing import Standing
from vampd.verbs import Verb
from vampd.watch.naming import Role

CHECKOUT = Path(__file__).parent.parent
FRONT = (CHECKOUT / "README.md").read_text(encoding="utf-8")
README = FRONT + (CHECKOUT / "docs/manual.md").read_text(encoding="utf-8")
CODE = re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
QUOTED = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))

ENUMS = [
    value
    for value in vars(states).values()
    if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum
]

#: Which column of the ledger holds which words.
COLUMNS: dict[tuple[str, str], type[StrEnum]] = {
    ("night", "kind"): states.Kind,
    ("night", "status"): states.NightStatus,
    ("raw_file", "state"): states.FileState,
    ("raw_file", "role"): Role,
    ("raw_file", "reason_code"): states.FileCode,
    ("trash", "was_code"): states.FileCode,
    ("builder", "state"): states.BuilderState,
    ("logger_fault", "fault"): states.LoggerFault,
    ("stray", "state"): states.StrayState,
    ("night", "hold_code"): states.HoldCode,
    ("night", "cause_code"): states.WaitCode,
    ("task", "error_code"): states.ErrorCode,
    ("unseen", "sort"): states.UnseenSort,
    ("local_copy", "verdict"): Verdict,
    ("scrub_pace", "side"): Side,
    ("output", "state"): states.OutputState,
    ("output", "flc_state"): states.FlcState,
    ("mail", "state"): states.MailState,
    ("alert", "severity"): states.Severity,
    ("task", "stage"): states.Stage,
    ("task", "state"): states.TaskState,
    ("task", "error_class"): states.ErrorClass,
    ("reclaim", "space"): states.Space,
    ("reclaim", "state"): states.ReclaimState,
    ("trash", "space"): states.Space,
    ("trash", "state"): states.TrashState,
    ("frame_request", "state"): states.RequestState,
    ("hook_run", "state"): states.HookState,
}

#: Words that only the ledger's own modules use; they are in no enum.
NOT_STATES = {
    ("frame_id", "state"),
    ("deliverable", "verdict"),
    ("adoption", "state"),
    ("number_seen", "source"),
    ("number_word", "word"),
}


#: A night of each status of which nothing else is special: what the manual's table shows.
_USUAL = {
    status: Standing(
        night="the night",
        date="DATE",
        status=status,
        hold=states.HoldCode.ORDER if status is states.NightStatus.HELD else None,
        is_closed=status is not states.NightStatus.COLLECTING,
        was_safe=status in {states.NightStatus.SAFE, states.NightStatus.RECLAIMED},
        is_restorable=status not in {states.NightStatus.COLLECTING, states.NightStatus.EMPTY},
        has_outputs=status not in {states.NightStatus.COLLECTING, states.NightStatus.EMPTY},
        troubled=int(status in {states.NightStatus.WAITING, states.NightStatus.FAILED}),
        has_work=status is not states.NightStatus.COLLECTING,
        incomplete="its space was given back" if status is states.NightStatus.RECLAIMED else None,
    )
    for status in states.NightStatus
}


def table_rows(header: str) -> set[str]:
    """The first cells of the table below *header*, without backquotes."""
    lines = README[README.index(header) :].splitlines()[2:]
    cells = set()
    for line in lines:
        if not line.startswith("|"):
            break
        cells.add(line.split("|")[1].strip().strip("`"))
    return cells


def schema() -> dict[str, str]:
    """The SQL of every table once all migrations have run, by table."""
    ledger = sqlite3.connect(":memory:")
    for migration in sorted((CHECKOUT / "migrations").glob("*.sql")):
        ledger.executescript(migration.read_text(encoding="utf-8"))
    return dict(ledger.execute("select name, sql from sqlite_master where type = 'table'"))


def check_words(sql: str, column: str) -> set[str]:
    match = re.search(rf"\b{column} in \(([^)]*)\)", sql)
    assert match is not None, f"no CHECK list for {column}"
    return set(re.findall(r"'([^']*)'", match[1]))


def commands_of(text: str) -> list[list[str]]:
    """The words after `vampd` of each command that *text* types."""
    typed = re.findall(r"(?:^|[\s/])vampd ((?!\d)[a-z][^#\n]*)", text, flags=re.MULTILINE)
    return [words.split() for words in typed]


TYPED = [words for text in QUOTED if text.startswith("vampd ") for words in commands_of(text)] + [
    words
    for block in CODE
    for line in block.splitlines()
    if (match := re.match(r"(?:setpriv .* )?(vampd .*)", line)) and not line.startswith("vampd 0")
    for words in commands_of(match[1])
]


@pytest.mark.parametrize(
    ("header", "enum"),
    [
        ("| a night is |", states.NightStatus),
        ("| stage |", states.Stage),
        ("| a unit of work is |", states.TaskState),
        ("| a file in a night's folder is |", states.FileState),
        ("| why a file is so |", states.FileCode),
        ("| a raw file that is not as it was recorded is |", states.StrayState),
        ("| a hold is |", states.HoldCode),
        ("| what a night waits for is |", states.WaitCode),
        ("| an error, where more is known, is |", states.ErrorCode),
        ("| what nobody takes is |", states.UnseenSort),
        ("| what the cameras' logger did to cubes |", states.LoggerFault),
        ("| a builder of another host is |", states.BuilderState),
        ("| an output is |", states.OutputState),
        ("| a mail is |", states.MailState),
        ("| an error is |", states.ErrorClass),
        ("| a night's space, `outputs` or `raw`, is |", states.ReclaimState),
        ("| a file that gives its space back is |", states.TrashState),
    ],
)
def test_readme_explains_every_state_and_no_other(header: str, enum: type[StrEnum]) -> None:
    assert table_rows(header) == {str(word) for word in enum}


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_readme_names_every_word_of_every_enum(enum: type[StrEnum]) -> None:
    assert {str(word) for word in enum if word} <= set(QUOTED)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_ledger_allows_the_words_of_the_enum_and_no_other(table: str, column: str) -> None:
    words = {str(word) for word in COLUMNS[table, column]}
    if column == "cause_code":  # a night that is held is so for its hold
        words |= {str(word) for word in states.HoldCode}
    assert check_words(schema()[table], column) == words


def test_every_enum_has_its_column() -> None:
    assert set(ENUMS) <= set(COLUMNS.values())


def test_every_check_list_of_words_is_compared() -> None:
    found = {
        (table, column)
        for table, sql in schema().items()
        for column in re.findall(r"check \((\w+) in \('", sql)
    }
    assert found - NOT_STATES == set(COLUMNS)


def test_readme_explains_every_command_and_no_other() -> None:
    rows = table_rows("| command | what it does |\n| --- | --- |\n| `vampd status`")
    typed = [words for row in rows for words in commands_of(row.replace("`", ""))]
    named = {" ".join(words[: 2 if words[0] in GROUPS else 1]) for words in typed}
    assert named == set(COMMANDS)


@pytest.mark.parametrize("words", TYPED, ids=" ".join)
def test_commands_that_readme_types_exist_with_their_options(words: list[str]) -> None:
    command, _ = command_of(words)
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_readme_types_commands_at_all() -> None:
    assert len(TYPED) > len(COMMANDS)


def test_dev_verbs_that_readme_types_exist() -> None:
    script = (CHECKOUT / "dev").read_text(encoding="utf-8")
    verbs = set(re.findall(r"\./dev ([a-z]+)", README))
    known = set(re.findall(r"^    ([a-z]+)\) set_up", script, flags=re.MULTILINE))
    assert verbs == known
    assert os.access(CHECKOUT / "dev", os.X_OK)


def test_scripts_that_readme_runs_exist() -> None:
    named = set(re.findall(r"(?:sudo |`)(systemd/[\w.]+)", README))
    assert named == {"systemd/install.sh"}
    assert all(os.access(CHECKOUT / name, os.X_OK) for name in named)


def test_settings_that_readme_names_exist() -> None:
    shipped = default_config().read_text(encoding="utf-8")
    sections = set(re.findall(r"^\[\[?([a-z_.]+)\]", shipped, flags=re.MULTILINE))
    dotted = [name.split(" ")[0] for name in QUOTED if not name.endswith(".log")]
    named = [name for name in dotted if name.rpartition(".")[0] in sections]
    assert named
    for name in named:
        section, _, key = name.rpartition(".")
        body = shipped.split(f"[{section}]", 1)[1].split("\n[", 1)[0]
        assert re.search(rf"^#?{key} = ", body, flags=re.MULTILINE), name


def test_the_first_page_is_short() -> None:
    assert FRONT.count("\n") <= 150


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/manual.md"]
)
def test_what_a_page_links_to_exists(page: str) -> None:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links or page in {"docs/manual.md", "SECURITY.md"}
    for link in links:
        assert ((CHECKOUT / page).parent / link).exists(), link


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_a_page_names_exist(page: str) -> None:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:vampd|tests|docs|config)/[\w./]+)`", text)
    assert named
    for name in named:
        assert (CHECKOUT / name).exists(), name


def test_the_manual_says_what_each_order_comes_to_in_each_status() -> None:
    signs = {Outcome.ACTS: "yes", Outcome.NOTHING: "-", Outcome.REFUSED: "no"}
    table = README[README.index("| order of a night that is |") :].split("\n\n")[0].splitlines()
    verbs = [Verb(cell.strip(" `")) for cell in table[0].split("|")[2:-1]]

    told = {line.split("|")[1].strip(" `"): line.split("|")[2:-1] for line in table[2:]}

    assert set(told) == set(states.NightStatus)
    for status, cells in told.items():
        standing = _USUAL[states.NightStatus(status)]
        assert [cell.strip() for cell in cells] == [
            signs[decide(standing, verb).outcome] for verb in verbs
        ]
