"""Settings: what is taken, what is refused and how, and that the shipped file tells the truth."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vampd.cli import group
from vampd.commands.config import command
from vampd.errors import ConfigError
from vampd.remote.location import Location
from vampd.settings.fields import keys_of, read_section
from vampd.settings.load import DEFAULT_PATH, examine, find, load
from vampd.settings.sections import Config
from vampd.settings.texts import MAIL_NAMES
from vampd.shipped import default_config
from vampd.states import Kind

ENGINEERING = """
state_dir = "/var/lib/vampd"
[[roots]]
kind = "engineering"
path = "/data"
[delivery.engineering]
destination = "/copy"
"""

BOTH = """
state_dir = "/var/lib/vampd"
frame_ids.first = 425190
[[roots]]
kind = "archive"
path = "/data/ARCHIVED_DATA"
[[roots]]
kind = "engineering"
path = "/data"
[delivery.archive]
destination = "scexao6:/tier1/2_ARCHIVED_DATA"
[delivery.engineering]
destination = "scexao6:/tier1"
"""

# click keeps the names of --help with the command, for whoever runs it next.
_CONTEXT = group.context_settings


_FOR_ARCHIVE = ("host", "sender", "data_host")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vampd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    return examine(written(tmp_path, text))[1]


def invoke(path: Path, *words: str) -> Result:
    return CliRunner().invoke(command, words, obj=SimpleNamespace(config_path=path), **_CONTEXT)


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    config = load(written(tmp_path, BOTH))

    assert config.night.settle_seconds == 30
    assert config.night.quiet_minutes == 30
    assert config.night.grace_minutes == 60
    assert config.night.scan_seconds == 60
    assert config.workers.processes == 2
    assert config.cubes.max_bytes == 2_000_000_000
    assert config.compress.tiles == "frame"
    assert config.compress.verify == "sample"
    assert config.frame_ids.first == 425190
    assert config.socket == Path("/run/vampd/vampd.sock")
    assert config.reading_socket == Path("/run/vampd/vampd-read.sock")


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    config = load(written(tmp_path, BOTH))

    with pytest.raises(AttributeError, match="immutable"):
        config.night.quiet_minutes = 0  # type: ignore[misc]


def test_each_kind_has_its_root_and_its_delivery(tmp_path: Path) -> None:
    config = load(written(tmp_path, BOTH))

    archive, engineering = config.root_of(Kind.ARCHIVE), config.root_of(Kind.ENGINEERING)
    assert archive is not None
    assert archive.path == Path("/data/ARCHIVED_DATA")
    assert engineering is not None
    assert engineering.path == Path("/data")
    delivery = config.delivery.of(Kind.ARCHIVE)
    assert delivery is not None
    assert delivery.destination == Location(path="/tier1/2_ARCHIVED_DATA", host="scexao6")


@pytest.mark.parametrize(
    ("verify_at", "safe_at"),
    [
        (None, "scexao6:/tier1/20251106"),
        ("/sdata/{night}/ARCHIVED", "scexao6:/sdata/20251106/ARCHIVED"),
        ("other:/sdata/{night}", "other:/sdata/20251106"),
    ],
)
def test_a_night_is_safe_where_verify_at_says(
    tmp_path: Path, verify_at: str | None, safe_at: str
) -> None:
    text = ENGINEERING.replace('"/copy"', '"scexao6:/tier1"')
    more = f'verify_at = "{verify_at}"' if verify_at else ""

    delivery = load(written(tmp_path, text + more)).delivery.engineering

    assert delivery is not None
    assert str(delivery.sent_to("20251106")) == "scexao6:/tier1/20251106"
    assert str(delivery.safe_at("20251106")) == safe_at


def test_zero_is_a_time_for_settling_quiet_and_grace(tmp_path: Path) -> None:
    night = (
        "[night]\nsettle_seconds = 0\nquiet_minutes = 0\ngrace_minutes = 0\nscan_seconds = 0.2\n"
    )

    config = load(written(tmp_path, ENGINEERING + night))

    assert config.night.settle_seconds == config.night.quiet_minutes == 0
    assert config.night.grace_minutes == 0
    assert config.night.scan_seconds == 0.2


def test_all_mistakes_come_in_one_message(tmp_path: Path) -> None:
    text = ENGINEERING + "[night]\nsetle_seconds = 3\nquiet_minutes = -1\n[workers]\nnice = true\n"
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load(path)

    assert caught.value.exit_code == 78
    assert str(caught.value).splitlines() == [
        f"{path}:",
        "  - night.setle_seconds is not a setting; did you mean settle_seconds?",
        "  - night.quiet_minutes must be 0 or more, not -1",
        "  - workers.nice must be a whole number, not true",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('night = "long"', 'night must be a table, not "long"'),
        ("night.scan_seconds = 0", "night.scan_seconds must be more than 0, not 0"),
        ("night.scan_seconds = nan", "night.scan_seconds must be more than 0, not NaN"),
        ("night.scan_seconds = inf", "night.scan_seconds must be more than 0, not Infinity"),
        ("night.settle_seconds = true", "night.settle_seconds must be a number, not true"),
        (
            f"night.settle_seconds = 1{'0' * 400}",
            f"night.settle_seconds must be 0 or more, not 1{'0' * 56}...",
        ),
        ("watch.events = 1", "watch.events must be true or false, not 1"),
        ("workers.processes = 0", "workers.processes must be between 1 and 64, not 0"),
        ("workers.processes = 2.0", "workers.processes must be a whole number, not 2.0"),
        ("frame_ids.first = 0", "frame_ids.first must be between 1 and 99999999, not 0"),
        (
            "frame_ids.first = 100000000",
            "frame_ids.first must be between 1 and 99999999, not 100000000",
        ),
        (
            "frame_ids.issuer = 'me'",
            'frame_ids.issuer must be "local" or "command" or "gen2", not "me"',
        ),
        (
            "frame_ids.gen2_name_service = 'g2:99999'",
            "frame_ids.gen2_name_service must be host:port, not 'g2:99999'",
        ),
        ("compress.tiles = 'column'", 'compress.tiles must be "frame" or "row", not "column"'),
        (
            "compress.tiles = 1979-05-27",
            'compress.tiles must be "frame" or "row", not "1979-05-27"',
        ),
        ("ssh.options = '-v'", 'ssh.options must be a list of strings, not "-v"'),
        ("ssh.options = [1]", "ssh.options must be a list of printable strings, not [1]"),
        ("mail.sender = 'me'", 'mail.sender must be a mail address, not "me"'),
        (
            "alerts.recipients = ['a@b', 'a b@c']",
            'alerts.recipients must be a list of mail addresses, not ["a@b", "a b@c"]',
        ),
        ("mail.ca_file = 'x'", 'mail.ca_file must be an absolute path, not "x"'),
        (
            "mail.subject = 'for {whom}'",
            "mail.subject may have no braces but those of "
            + ", ".join(f"{{{name}}}" for name in sorted(MAIL_NAMES)),
        ),
        ('mail.subject = "a\\nb"', r"mail.subject must be one printable line, not 'a\nb'"),
        ("control.socket = 'here'", 'control.socket must be an absolute path, not "here"'),
        ("control.socket = '~/s'", 'control.socket must be an absolute path, not "~/s"'),
        (
            "control.socket = '/../s'",
            "control.socket must be a path of printable ASCII without '..' and '|', not \"/../s\"",
        ),
        ("disk.keep_free_gb = -0.5", "disk.keep_free_gb must be 0 or more, not -0.5"),
        (
            "retry.longest_seconds = 5",
            "retry.longest_seconds must not be less than retry.first_seconds (30), and is 5",
        ),
        ("colour = 1", "colour is not a setting"),
        ("stat_dir = 1", "stat_dir is not a setting; did you mean state_dir?"),
        (
            "delivery.archive.destination = 'tier1'",
            (
                "delivery.archive.destination must be an absolute folder or host:/folder, "
                "without '..', not 'tier1'"
            ),
        ),
        ("delivery.archive.verify_after_hours = 1", "delivery.archive.destination is missing"),
        (
            "delivery.archive = {destination = '/c', verify_at = '/s'}",
            "delivery.archive.verify_at must contain {night}, which becomes the date, not '/s'",
        ),
        (
            "delivery.archive = {destination = '/c', verify_at = '/{nigth}/{night}'}",
            (
                "delivery.archive.verify_at may have no braces but those of {night}, "
                "not '/{nigth}/{night}'"
            ),
        ),
        (
            f"control.socket = '/{'s' * 107}'",
            (
                f"control.socket is /{'s' * 107}, 108 bytes long, "
                "but it may have at most 102, for a second socket's path has 5 more: "
                "set it to a shorter one"
            ),
        ),
        (
            "control = {group = 'observers', socket = '/var/lib/vampd/s'}",
            (
                "control.group is observers, but control.socket is /var/lib/vampd/s, in state_dir, "
                "which nobody but the daemon's user may enter: set it to one elsewhere"
            ),
        ),
        ("control.group = 'a b'", 'control.group must be a group\'s name, not "a b"'),
    ],
)
def test_an_impossible_value_is_refused_by_its_key(tmp_path: Path, line: str, problem: str) -> None:
    assert problems(tmp_path, line + ENGINEERING) == [problem]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("/data/ARCHIVED_DATA", "/data"), "roots has /data more than once"),
        (('"archive"\n', '"engineering"\n'), "roots has 2 of kind engineering, but a date has one"),
        (
            ('"archive"\n', '"science"\n'),
            'roots[1].kind must be "archive" or "engineering", not "sc',
        ),
        (("/data/ARCHIVED_DATA", "data"), 'roots[1].path must be an absolute path, not "data"'),
        (("/data/ARCHIVED_DATA", "/data/20251106"), "roots has /data/20251106, which lies inside"),
        (("first = 425190", "issuer = 'local'"), "frame_ids.first is missing: set it to a number"),
        (
            ("first = 425190", "issuer = 'command'\nframe_ids.command = ['frame-ids', '-n']"),
            "frame_ids.command must be a program and its words, one of them with {count}",
        ),
        (("first = 425190", "issuer = 'gen2'"), "frame_ids.gen2_name_service is missing"),
        (("[delivery.archive]", "[delivery.archives]"), "delivery.archives is not a setting; did"),
        (("6:/tier1/2_ARCHIVED_DATA", "6:/tier1"), "delivery.engineering.destination is that of"),
        (("6:/tier1/2_ARCHIVED_DATA", "6:/tier1//"), "delivery.engineering.destination is that of"),
        (
            ('ARCHIVED_DATA"\n[delivery.e', 'A"\nverify_at = "/tier1/{night}"\n[delivery.e'),
            "delivery.engineering.verify_at is the same folder as that of delivery.archive",
        ),
        (("scexao6:/tier1/2", "/data/2"), None),
        (
            ("scexao6:/tier1/2_ARCHIVED_DATA", "/data/ARCHIVED_DATA"),
            "delivery.archive.destination puts the copies of 20000101 into /data/ARCHIVED",
        ),
        (
            ("scexao6:/tier1/2_ARCHIVED_DATA", "/data/20251106/copies"),
            "delivery.archive.destination puts the copies of 20000101 into /data/20251106, a night",
        ),
        (
            (
                'scexao6:/tier1/2_ARCHIVED_DATA"',
                '/copies"\nverify_at = "/data/ARCHIVED_DATA/{night}"',
            ),
            "delivery.archive.verify_at puts the copies of 20000101 into /data/ARCHIVED",
        ),
        (
            ("/var/lib/vampd", "/data/20251106/x"),
            "state_dir must not lie inside a night, and /data",
        ),
        (("/var/lib/vampd", "/data/state"), None),
    ],
)
def test_sections_must_agree(tmp_path: Path, change: tuple[str, str], problem: str | None) -> None:
    assert change[0] in BOTH

    found = problems(tmp_path, BOTH.replace(*change, 1))

    assert [line[: len(problem or "")] for line in found] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (
            "mail.recipients = ['a@b']",
            [f"mail.{key} is missing, but mail.recipients is set" for key in _FOR_ARCHIVE],
        ),
        (
            "alerts.recipients = ['a@b']",
            [f"mail.{key} is missing, but alerts.recipients is set" for key in _FOR_ARCHIVE[:2]],
        ),
        ("mail.mode = 'auto'", ['mail.mode is "auto", but mail.recipients is empty: who is to be']),
        ("mail.user = 'me'", ["mail.user and mail.password_file belong together, and one of them"]),
        (
            "mail.host = 'post'\nmail.user = 'me'\nmail.password_file = '/p'",
            ["mail.password_file would go to post for everybody to read: set mail.security to"],
        ),
        ("mail.host = 'localhost'\nmail.user = 'me'\nmail.password_file = '/p'", []),
    ],
)
def test_a_mail_needs_all_that_it_is_sent_by(tmp_path: Path, lines: str, found: list[str]) -> None:
    said = problems(tmp_path, f"{lines}\n{ENGINEERING}")

    assert [line[: len(part)] for line, part in zip(said, found, strict=True)] == found


def test_roots_are_needed_and_so_is_a_delivery_for_each(tmp_path: Path) -> None:
    without_roots = problems(tmp_path, "")
    without_delivery = problems(tmp_path, ENGINEERING.partition("[delivery")[0])

    assert without_roots == [
        "roots is empty, so there is nothing to watch: add [[roots]] with kind and path"
    ]
    assert without_delivery == [
        "delivery.engineering is missing, but there is a root of kind engineering"
    ]


def test_one_table_of_roots_is_refused_with_the_right_spelling(tmp_path: Path) -> None:
    assert problems(tmp_path, ENGINEERING.replace("[[roots]]", "[roots]")) == [
        "roots must be a list of tables: write [[roots]]"
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"night = = 3", "is not TOML: Invalid value (at line 1, column 9)"),
        (b"# \xff", "is not TOML: 'utf-8' codec can't decode byte 0xff"),
        (
            None,
            "is not there: systemd/install.sh writes one; by hand it is `vampd admin config show",
        ),
    ],
)
def test_a_file_that_is_no_toml_is_refused(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "vampd.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}:\n  - ")


_toml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)  # a busy machine is no fault of it
@given(
    st.dictionaries(
        st.sampled_from(["roots", "night", "delivery", "ssh", "x"]) | st.text(), _toml_values
    )
)
def test_nothing_that_toml_can_say_is_more_than_a_problem_in_one_line(
    values: dict[str, object],
) -> None:
    found: list[str] = []

    config = read_section(Config, values, "", found)

    assert isinstance(config, Config)
    assert all(problem.isprintable() for problem in found)
    assert found or "x" not in values


def test_the_file_is_the_one_named_then_the_environments_then_the_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("VAMPD_CONFIG", raising=False)
    without = find(None)
    monkeypatch.setenv("VAMPD_CONFIG", "/from/environment.toml")

    assert without == DEFAULT_PATH
    assert find(None) == Path("/from/environment.toml")
    assert find("/from/option.toml") == Path("/from/option.toml")


def _all_keys_on(text: str) -> str:
    """Take the '#' away from every key; sentences have a blank after theirs."""
    return re.sub(r"^#(?=[a-z0-9_]+ = )", "", text, flags=re.MULTILINE)


def test_the_shipped_file_has_every_key_and_no_other() -> None:
    everything = tomllib.loads(_all_keys_on(default_config().read_text()))

    assert _dotted(everything) == set(keys_of(Config))


def _dotted(table: dict[str, object], where: str = "") -> set[str]:
    found = set()
    for key, value in table.items():
        for entry in value if isinstance(value, list) else [value]:
            found |= _dotted(entry, f"{where}{key}.") if isinstance(entry, dict) else {where + key}
        if value == []:
            found.add(where + key)
    return found


def test_the_shipped_file_shows_the_defaults(tmp_path: Path) -> None:
    text = default_config().read_text().replace("#first = 1\n", "first = 1\n")
    # An example stands for a default that only words can say: destination/{night}.
    uncommented = _all_keys_on(
        re.sub(r"^#(verify_at|gen2_name_service) = .*$", "", text, flags=re.MULTILINE)
    )

    by_default, shown = load(written(tmp_path, text)), load(written(tmp_path, uncommented))

    assert replace(shown, control=by_default.control) == by_default
    assert shown.socket == by_default.socket


def test_the_shipped_file_lacks_only_the_first_frame_number() -> None:
    _, found = examine(default_config())

    assert found == [
        "frame_ids.first is missing: set it to a number above every VMPA number that was ever used"
    ]


def test_check_says_that_there_is_no_mistake(tmp_path: Path) -> None:
    path = written(tmp_path, BOTH)

    result = invoke(path, "check")

    assert (result.exit_code, result.output) == (0, f"{path}: no mistakes\n")


def test_check_raises_what_the_command_line_turns_into_status_78(tmp_path: Path) -> None:
    result = invoke(written(tmp_path, "x = 1"), "check")

    assert isinstance(result.exception, ConfigError)
    assert "x is not a setting" in str(result.exception)


def test_check_answers_in_json(tmp_path: Path) -> None:
    path = written(tmp_path, ENGINEERING + "[night]\nx = 1\n")

    result = invoke(path, "check", "--json")

    assert result.exit_code == 78
    assert json.loads(result.stdout) == {
        "schema": 1,
        "path": str(path),
        "problems": ["night.x is not a setting"],
    }


def test_show_prints_toml_that_means_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, BOTH + "[ssh]\noptions = ['-i', '/a \"b\"', 'é']\n")

    result = invoke(path, "show")

    again = tmp_path / "again.toml"
    again.write_text(result.stdout, encoding="utf-8")
    assert load(again) == load(path)


def test_show_answers_in_json(tmp_path: Path) -> None:
    result = invoke(written(tmp_path, BOTH), "show", "--json")

    answer = json.loads(result.stdout)
    assert answer["schema"] == 1
    assert answer["settings"]["night.settle_seconds"] == 30.0
    assert answer["settings"]["roots"][0] == {"kind": "archive", "path": "/data/ARCHIVED_DATA"}


def test_show_default_prints_the_shipped_file_without_reading_any_other(tmp_path: Path) -> None:
    result = invoke(tmp_path / "absent.toml", "show", "--default")

    assert (result.exit_code, result.stdout) == (0, default_config().read_text())


def test_show_default_has_no_json(tmp_path: Path) -> None:
    result = invoke(tmp_path / "absent.toml", "show", "--default", "--json")

    assert result.exit_code == 2
    assert "commented" in result.stderr
