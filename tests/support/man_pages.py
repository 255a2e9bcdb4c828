"""Writes the manual pages: from the commands, the settings, README and the manual.

`./dev man` writes them into `man`; what is said there is said in one place only.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from vampd import __version__
from vampd.cli import group
from vampd.commands.names import COMMANDS
from vampd.shipped import default_config, receive_config

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "man"

_KEY = re.compile(r"#?([a-z][a-z0-9_]*) = (.*)")
_HEADER = re.compile(r"#?(\[\[?[a-z_.]+\]\]?)")
_RELEASED = re.compile(r"^## ([0-9.]+), ([0-9]{4}-[0-9]{2}-[0-9]{2})$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Every manual page, by its file's name."""
    return {
        "vampd.1": _commands_page(),
        "vampd.toml.5": _settings_page(default_config(), "settings of vampd"),
        "vampd-receive.toml.5": _settings_page(receive_config(), "settings of vampd receive"),
        "vampd.8": _daemon_page(*map(_text, ("README.md", "docs/manual.md"))),
    }


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
    return 0


def _commands_page() -> str:
    # With its settings: a command remembers the help option of the first context that it meets.
    context = click.Context(group, info_name="vampd", **group.context_settings)
    lines = [
        _title("VAMPD", 1, "General Commands Manual"),
        *_name("vampd", "carries nights of the VAMPIRES cameras to verified copies"),
        ".SH SYNOPSIS",
        f"{_bold('vampd')} [{_bold('--config')} {_italic('FILE')}] {_italic('COMMAND')} ...",
        ".SH DESCRIPTION",
        *_paragraphs(group.help or ""),
        ".PP",
        "The daemon itself, what its words mean, and what to do in trouble: " + _see("vampd", 8),
        *_options(group, context),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        lines += _command(*_found(name, context))
    lines += [*_section_of_codes(), *_ENVIRONMENT, *_see_also(("vampd.toml", 5), ("vampd", 8))]
    return _joined(lines)


def _found(name: str, context: click.Context) -> tuple[click.Command, click.Context]:
    command: click.Command = group
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None, name
        command, context = found, click.Context(found, info_name=word, parent=context)
    return command, context


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_bold(context.command_path)} {_plain(usage)}"
    yield from _paragraphs(command.help or "")
    if command.epilog:
        yield from (".PP", ".nf", *map(_plain, command.epilog.replace("\b\n", "").splitlines()))
        yield ".fi"
    yield from _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Each option with its explanation; -h is the same everywhere."""
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from (".TP", _bold(record[0]), _plain(" ".join(record[1].split())))


def _section_of_codes() -> Iterator[str]:
    found = re.search(r"^Exit codes: (.*?)\n\n", _text("docs/manual.md"), re.MULTILINE | re.DOTALL)
    assert found is not None
    yield ".SH EXIT STATUS"
    for each in " ".join(found[1].split()).rstrip(".").split("; "):
        code, _, meaning = each.partition(" ")
        yield from (".TP", _bold(code), _plain(meaning))


def _settings_page(path: Path, what: str) -> str:
    """The commented file, block by block: what stands above a key explains it."""
    text = path.read_text(encoding="utf-8")
    lines = [
        _title(path.name.upper(), 5, "File Formats Manual"),
        *_name(path.name, what),
        ".SH DESCRIPTION",
    ]
    said: list[str] = []
    for line in text.splitlines():
        if header := _HEADER.fullmatch(line):
            lines += [f".SS {_bold(header[1])}", *_paragraphs("\n".join(said))]
            said = []
        elif key := _KEY.fullmatch(line):
            shown = f"{key[1]} = {key[2]}"
            lines += [".TP", _bold(shown), *(_flowing(said) or [_plain("As above.")])]
            said = []
        elif line.startswith("#"):
            said.append(line.removeprefix("#").removeprefix(" "))
        elif not line and said:
            lines += [*_paragraphs("\n".join(said))]
            said = []
    lines += [".SH FILES", f"/etc/vampd/{path.name}", *_see_also(("vampd", 1), ("vampd", 8))]
    return _joined(lines)


def _text(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def _daemon_page(readme: str, manual: str) -> str:
    lines = [
        _title("VAMPD", 8, "System Manager's Manual"),
        *_name("vampd", "the daemon that watches the nights, and what its words mean"),
        ".SH SYNOPSIS",
        f"{_bold('systemctl')} start | stop | reload {_bold('vampd')}",
        ".PP",
        f"{_bold('vampd admin run')} [{_bold('--until-idle')}]",
        ".SH DESCRIPTION",
        *_markdown(readme.split("\n\n", 1)[1].split("\n## ", 1)[0]),
        *_SIGNALS,
    ]
    for heading in ("States", "What lies where", "Trouble"):
        body = manual.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
        lines += [f".SH {heading.upper()}", *_markdown(body)]
    return _joined([*lines, *_see_also(("vampd", 1), ("vampd.toml", 5), ("journalctl", 1))])


def _markdown(text: str) -> Iterator[str]:
    """What README uses of Markdown: paragraphs, tables, lists, indented or fenced blocks."""
    is_first = True
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            yield from _table(lines)
            continue
        if not is_first:
            yield ".PP"
        is_first = False
        if lines[0].startswith("```"):
            yield from (".nf", *map(_plain, lines[1:-1]), ".fi")
        else:
            yield _quoted(" ".join(lines))


def _table(lines: list[str]) -> Iterator[str]:
    """A table as a list: the first cell is the term, the others are its explanation."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    heads, entries = rows[0], rows[2:]
    for term, *cells in entries:
        yield ".TP"
        yield _bold(term.replace("`", "").strip())
        yield _quoted(cells[0])
        for head, cell in zip(heads[2:], cells[1:], strict=True):
            yield ".IP"
            yield f"{_italic(head.strip(' |').capitalize())}: {_quoted(cell)}"


def _quoted(text: str) -> str:
    """Running text; what stands in backquotes becomes bold."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(_bold(part) if place % 2 else _plain(part) for place, part in enumerate(parts))


def _paragraphs(text: str) -> Iterator[str]:
    for place, block in enumerate(re.split(r"\n\s*\n", text.strip())):
        if place:
            yield ".PP"
        yield _quoted(" ".join(block.split()))


def _flowing(said: list[str]) -> list[str]:
    return [_quoted(" ".join(" ".join(said).split()))] if said else []


def _title(name: str, section: int, manual: str) -> str:
    changes = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    dates = dict(_RELEASED.findall(changes))
    return f'.TH {name} {section} {dates[__version__]} "vampd {__version__}" "{manual}"'


def _name(name: str, what: str) -> list[str]:
    return [".SH NAME", f"{name} \\- {what}"]


def _see(name: str, section: int) -> str:
    return f"{_bold(name)}({section})"


def _see_also(*others: tuple[str, int]) -> list[str]:
    return [".SH SEE ALSO", ", ".join(_see(*other) for other in others)]


def _bold(text: str) -> str:
    return f"\\fB{_plain(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_plain(text)}\\fR"


def _plain(text: str) -> str:
    """*text* so that roff prints it as it is: see groff_char(7)."""
    for char, sign in (("\\", "\\e"), ("-", "\\-"), ("~", "\\(ti"), ("^", "\\(ha"), ("`", "\\(ga")):
        text = text.replace(char, sign)
    text = text.replace("'", "\\(aq").replace('"', "\\(dq")
    return f"\\&{text}" if text.startswith(".") else text


def _joined(lines: list[str]) -> str:
    """The page; running text is broken where a request cannot begin by accident."""
    page = ['.\\" Made by "./dev man": change what it reads.']
    is_filled = True
    for line in lines:
        is_filled = line == ".fi" or (is_filled and line != ".nf")
        is_text = is_filled and not line.startswith(".")
        page += _broken(line) if is_text else [line]
    return "\n".join([*page, ""])


def _broken(line: str) -> list[str]:
    broken = textwrap.wrap(line, 78, break_long_words=False, break_on_hyphens=False)
    return [f"\\&{each}" if each.startswith(".") else each for each in broken]


_ENVIRONMENT = (
    ".SH ENVIRONMENT",
    ".TP",
    _bold("VAMPD_CONFIG"),
    "The settings, where no option names them.",
    ".TP",
    _bold("NO_COLOR"),
    "Whatever it is set to: no colours. There are none in a pipe anyway.",
    ".SH FILES",
    ".TP",
    "/etc/vampd/vampd.toml",
    f"The settings, see {_see('vampd.toml', 5)}.",
    ".TP",
    "/var/lib/vampd/ledger.sqlite3",
    "The ledger, where the settings do not say otherwise.",
)

_SIGNALS = (
    ".SH SIGNALS",
    ".TP",
    f"{_bold('SIGTERM')}, {_bold('SIGINT')}",
    "Begin no more work, let what runs end within 25 seconds, put the rest back, and exit.",
    ".TP",
    _bold("SIGHUP"),
    "Read the settings again. Wrong ones are refused, and the old ones kept.",
)

if __name__ == "__main__":
    sys.exit(main())
