"""That the receiver's settings, manual and schema say the words that its code says."""

from __future__ import annotations

import re
import sqlite3
from enum import StrEnum
from pathlib import Path

import pytest

from vampd.errors import ConfigError
from vampd.receive import states
from vampd.receive.settings import ReceiveConfig, load
from vampd.settings.fields import keys_of
from vampd.shipped import migrations_folder, receive_config

MANUAL = (Path(__file__).parent.parent.parent / "docs" / "receive.md").read_text(encoding="utf-8")

COLUMNS: dict[tuple[str, str], type[StrEnum]] = {
    ("night", "state"): states.NightState,
    ("file", "state"): states.FileState,
    ("step_run", "state"): states.StepState,
}


def schema() -> dict[str, str]:
    ledger = sqlite3.connect(":memory:")
    for migration in sorted((migrations_folder() / "receive").glob("*.sql")):
        ledger.executescript(migration.read_text(encoding="utf-8"))
    return dict(ledger.execute("select name, sql from sqlite_master where type = 'table'"))


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_the_ledger_allows_the_words_of_the_enum_and_no_other(table: str, column: str) -> None:
    match = re.search(rf"\b{column} in \(([^)]*)\)", schema()[table])

    assert match is not None
    assert set(re.findall(r"'([^']*)'", match[1])) == {str(word) for word in COLUMNS[table, column]}


@pytest.mark.parametrize(
    ("header", "enum"),
    [
        ("| a delivered night is |", states.NightState),
        ("| a delivered file is |", states.FileState),
        ("| a step is |", states.StepState),
    ],
)
def test_the_manual_explains_every_state_and_no_other(header: str, enum: type[StrEnum]) -> None:
    rows = MANUAL[MANUAL.index(header) :].split("\n\n")[0].splitlines()[2:]

    assert {row.split("|")[1].strip(" `") for row in rows} == {str(word) for word in enum}


def test_the_shipped_settings_have_every_key_at_its_default(tmp_path: Path) -> None:
    text = receive_config().read_text(encoding="utf-8")
    shown, section = set(), ""
    for line in text.splitlines():
        if match := re.fullmatch(r"#?\[\[?([a-z]+)\]\]?", line):
            section = f"{match[1]}."
        elif match := re.match(r"#?([a-z_]+) = ", line):
            shown.add(section + match[1])
    assert shown == set(keys_of(ReceiveConfig))

    # Every key but those of a step, which has no defaults of its own, may be written out.
    keys = re.sub(r"(?m)^#(?!name|command)([a-z_]+ = )", r"\1", text)
    written = tmp_path / "all.toml"
    written.write_text(
        keys.replace("#[[step]]", "[[step]]")
        .replace("#name", "name")
        .replace("#command", "command")
    )
    everything, shipped = load(written), load(receive_config())
    assert everything.step[0].command == ("dpp", "sort", "{files}")
    for section in ("look", "disk", "retry", "reduce", "mail", "alerts", "state_dir"):
        assert getattr(everything, section) == getattr(shipped, section)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "inbox is empty"),
        ('[[inbox]]\nkind = "archive"\nfolder = "/a"\n', "inbox[1].to is missing"),
        ('[[inbox]]\nkind = "archive"\nfolder = "/a"\nto = "/b"\n', "with {night}"),
        ('[[inbox]]\nkind = "archive"\nfolder = "/a"\nto = "/a/{night}"\n', "are delivered"),
        ('[[inbox]]\nkind = "archive"\nfolder = "/a"\nto = "host:/a/{night}"\n', "absolute"),
        ('[[step]]\nname = "a"\ncommand = ["x", "-f={files}"]\n', "a word of its own"),
        ('[[step]]\nname = "a"\ncommand = ["x", "{nigth}"]\n', "not {nigth}"),
        ('[[step]]\nname = "a"\ncommand = "x y"\n', "as a list"),
        ('[[step]]\nname = "a"\ncommand = ["x"]\nretry_exits = [0]\n', "from 1 to 255"),
        ('[[step]]\nname = "a"\ncommand = ["x"]\nlimits = ["a = 1"]\n', "'a = 1' is no limit"),
        ("[look]\nscan_second = 1\n", "did you mean scan_seconds?"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "receive.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as error:
        load(path)

    assert told in str(error.value)
