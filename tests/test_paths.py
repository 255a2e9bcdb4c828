"""Nothing reaches what lies below a root but by `vampd.io.beneath`: the code says so itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent / "vampd"

#: Of `os` and `shutil`: what takes a path.
_OF_MODULES = {
    "os": {
        *("open", "rename", "replace", "remove", "unlink", "rmdir", "removedirs", "mkdir"),
        *("makedirs", "link", "symlink", "readlink", "listdir", "scandir", "walk", "fwalk"),
        *("stat", "lstat", "statvfs", "access", "truncate", "utime", "chmod", "chown", "mkfifo"),
        "mknod",
    },
    "shutil": {"rmtree", "move", "copy", "copy2", "copyfile", "copytree", "disk_usage"},
    "glob": {"glob", "iglob"},
}
#: Of a path, or of what could be one.
_OF_PATHS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rename", "rmdir"),
    *("mkdir", "touch", "iterdir", "glob", "rglob", "walk", "stat", "lstat", "exists", "is_file"),
    *("is_dir", "is_symlink", "is_mount", "readlink", "symlink_to", "hardlink_to", "chmod"),
    *("resolve", "samefile", "replace", "owner"),
}

#: Those write simulated nights, run on another machine, and know the ledger's files alone.
_OTHER_PACKAGES = ("simulation/", "remote/vampd_remote", "ledger/")
#: What deals with other files than those below a root, and with which.
_ELSEWHERE = {
    "cli.py": "standard error",
    "settings/load.py": "the settings",
    "daemon.py": "the state directory",
    "shipped.py": "this package",
    "io/beneath.py": "it is the way",
    "io/openat2.py": "it is the way",
    "io/no_replace.py": "it is the way",
    "io/scratch.py": "/proc",
    "io/frame_id_asker.py": "/proc and /dev/null; the night's paper by `number_papers`",
    "io/gen2.py": "a file that the settings name, and the system's list of mounts",
    "io/held_by.py": "files of the state directory, and /proc",
    "io/lock.py": "the state directory",
    "io/mail.py": "the file of the password",
    "io/pressure.py": "/proc and /sys/fs/cgroup",
    "io/private.py": "the state directory",
    "io/systemd.py": "the journal's socket",
    "io/unix_socket.py": "the daemon's sockets",
    "orders/socket.py": "the daemon's socket",
    "background/header_table.py": "the state directory",
    "background/ledger_copies.py": "the folder of the ledger's copies",
    "orders/reading_socket.py": "the daemon's socket",
    "background/mail/watchdog.py": "the state directory",
    "schedule/workers.py": "a pipe",
    "commands/access.py": "the state directory",
    "commands/config.py": "the shipped settings",
    "commands/doctor_copies.py": "the state directory, and the folder of the ledger's copies",
    "commands/demo.py": "a folder of its own",
    "commands/headers.py": "the file that the command line names",
    "commands/metrics.py": "the file that the command line names",
    "commands/page/report_view.py": "this package",
    "commands/plots.py": "the folder that the command line names",
    "commands/receive/config.py": "the shipped settings",
    "receive/settings.py": "the settings",
    "commands/report.py": "the file that the command line names",
    "commands/shadow_report.py": "the state directory",
    "commands/simulate.py": "the folder that the command line names",
}
_ROOT = "a root itself, which may be a link"
_NAMED = "what the command line names"
_STATE = "the state directory"
_ENTRY = "an entry of a folder: of itself, not of what it leads to"
_HELD = "in a folder that is held open below a root"

#: Who reaches other things beside what lies below a root: by which calls, and what those reach.
_EXCEPTIONS = {
    "commands/dates.py": {".resolve": "a path as it was typed, to be compared with nights'"},
    "commands/doctor.py": {
        **dict.fromkeys((".is_dir", ".stat", ".iterdir", "os.access"), _ROOT),
        ".exists": "the file of the password",
    },
    "commands/ids.py": {".is_dir": _ROOT},
    "builders/card.py": dict.fromkeys((".rglob", ".read_bytes"), "this package"),
    "commands/receive/doctor.py": {
        **dict.fromkeys((".stat", "os.access"), _ROOT),
        ".exists": _STATE,
    },
    "commands/receive/reprocess.py": {".read_text": _NAMED},
    "commands/receive/site.py": {".exists": _STATE},
    "commands/import_legacy.py": dict.fromkeys(
        (".is_file", ".exists", ".is_dir", ".resolve"), _NAMED
    ),
    "commands/rebuild_db.py": {
        **dict.fromkeys((".is_dir", ".iterdir"), _ROOT),
        **dict.fromkeys((".exists", ".unlink", ".rmdir", ".glob"), _STATE),
    },
    "commands/rebuild_raw.py": dict.fromkeys(
        (".exists", ".iterdir", ".is_dir", ".mkdir", ".resolve"), _NAMED
    ),
    "commands/status_picture.py": dict.fromkeys(("os.statvfs", ".stat"), _ROOT),
    "io/disk.py": {
        "os.statvfs": "free space, wherever it is; nothing is read or written",
        **dict.fromkeys((".is_mount", ".is_dir"), _ROOT),
        ".read_text": "/proc",
    },
    "io/mirror.py": {".stat": _ROOT},
    "io/stream.py": {"os.utime": "a file that is held open"},
    "background/mail/alerts.py": {"os.statvfs": _ROOT},
    "legacy/shadow.py": {
        **dict.fromkeys((".stat", ".is_dir"), _ROOT),
        **dict.fromkeys((".mkdir", ".chmod"), _STATE),
    },
    "stages/lost_papers.py": {".exists": _STATE},
    "stages/manifest.py": {".exists": "/proc"},
    "stages/rebuild.py": {".open": "a member of a sidecar that is open"},
    "stages/sidecar_index.py": {".open": "a member of a sidecar that is open"},
    "background/reclaim/moves.py": {
        "os.open": _ROOT,
        **dict.fromkeys(("os.mkdir", "os.rmdir", "os.stat", "os.unlink"), _HELD),
    },
    "watch/events.py": dict.fromkeys(
        (".stat", "os.access", ".resolve"),
        "a folder to be watched: events are hints, through which nothing is read or written",
    ),
    "watch/scan.py": {".is_symlink": _ENTRY},
}


def calls_of(path: Path) -> Iterator[tuple[str, int]]:
    """Every call in a module that could reach a file by its path, and its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node)
        if name is not None:
            yield name, node.lineno


def _name(call: ast.Call) -> str | None:
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" else None
    if not isinstance(function, ast.Attribute):
        return None
    keywords = {keyword.arg for keyword in call.keywords}
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if owner in _OF_MODULES:
        return f"{owner}.{function.attr}" if function.attr in _OF_MODULES[owner] else None
    if function.attr not in _OF_PATHS or _is_harmless(call, function.attr, owner, keywords):
        return None
    return f".{function.attr}"


def _is_harmless(call: ast.Call, attribute: str, owner: str, keywords: set[str | None]) -> bool:
    """Text that is replaced; what beneath itself offers; entries; a library given a descriptor."""
    if attribute == "replace":
        return len(call.args) != 1
    if attribute == "open" and (owner == "fits" or (owner == "tarfile" and "fileobj" in keywords)):
        return True
    return owner in {"beneath", "dates"} or "follow_symlinks" in keywords


def test_what_lies_below_a_root_is_reached_in_one_way() -> None:
    strays = []
    used: dict[str, set[str]] = {module: set() for module in _EXCEPTIONS}
    for path in sorted(_PACKAGE.rglob("*.py")):
        module = path.relative_to(_PACKAGE).as_posix()
        if module in _ELSEWHERE or module.startswith(_OTHER_PACKAGES):
            continue
        for name, line in calls_of(path):
            if name in _EXCEPTIONS.get(module, {}):
                used[module].add(name)
            else:
                strays.append(f"vampd/{module}:{line}: {name}")

    assert not strays, (
        "\n".join(strays) + "\nuse vampd.io.beneath, or say here why that is no way below a root"
    )
    assert used == {module: set(calls) for module, calls in _EXCEPTIONS.items()}
    assert [module for module in _ELSEWHERE if not (_PACKAGE / module).is_file()] == []
