"""Writes what a production installation is made of: `./dev lock`.

From pyproject.toml, uv finds the versions that go together, on every Python and platform, and the
SHA-256 of each file that an index may offer of them. They are written into `config/lock`, whose
files `systemd/install.sh` gives to pip; pip refuses whatever has another digest. Beside them lies
the bill of materials, in CycloneDX's JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "config" / "lock"
BILL = FOLDER / "sbom.cdx.json"
#: What pip needs to build vampd and systemd-python. The others come as wheels.
BUILD = "build"
#: Extras that a production machine may have.
EXTRAS = ("dask", "plots", "tui", "web")

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> int:
    """Write the locks and the bill of materials."""
    FOLDER.mkdir(exist_ok=True)
    for name, requirements in asked_for().items():
        beside = () if name in {"requirements", BUILD} else (lock_file("requirements"),)
        locked = _compile(requirements, beside)
        head = f"# Written by `./dev lock`: {name}, as pyproject.toml asks for it.\n"
        lock_file(name).write_text(head + locked, encoding="utf-8")
    BILL.write_text(bill_of_materials(), encoding="utf-8")
    return 0


def asked_for() -> dict[str, list[str]]:
    """What pyproject.toml asks for, by the name of the lock."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    return {
        "requirements": project["project"]["dependencies"],
        **{extra: extras[extra] for extra in EXTRAS},
        BUILD: project["build-system"]["requires"],
    }


def lock_file(name: str) -> Path:
    """Where the lock of *name* lies: `requirements`, an extra, or what is needed to build."""
    return FOLDER / f"{name}.txt"


def pinned(text: str) -> list[tuple[str, str, list[str]]]:
    """Name, version and the SHA-256 of every file, of each line of a lock."""
    found = list(_PINNED.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        (match[1], match[2], _HASH.findall(text, match.end(), end))
        for match, end in zip(found, ends, strict=True)
    ]


def bill_of_materials() -> str:
    """What vampd is made of, as the locks have it: CycloneDX 1.6."""
    version = re.search(r'"(.+)"', (CHECKOUT / "vampd/__init__.py").read_text().split("=")[-1])
    assert version is not None
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "vampd",
                "version": version[1],
                "licenses": [{"license": {"id": "BSD-3-Clause"}}],
            }
        },
        "components": list(_components()),
    }
    return json.dumps(bill, indent=1) + "\n"


def _components() -> Iterator[dict[str, object]]:
    for lock in ("requirements", *EXTRAS, BUILD):
        scope = {"requirements": "required", BUILD: "excluded"}.get(lock, "optional")
        for name, version, _hashes in pinned(lock_file(lock).read_text(encoding="utf-8")):
            yield {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "scope": scope,
            }


def _compile(requirements: list[str], beside: tuple[Path, ...]) -> str:
    """The lines of a lock of *requirements* that agrees with the locks *beside* it."""
    asked = [*requirements, *(f"-c {path}" for path in beside)]
    with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
        file.write("\n".join(asked) + "\n")
        file.flush()
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            file.name,
            "--universal",
            "--generate-hashes",
        ]
        command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--quiet"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
