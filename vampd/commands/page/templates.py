"""Templates: every value is escaped, whatever a header says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vampd.commands.screen import count_text, duration_text, size_text, time_text
from vampd.time_units import HST


def render(name: str, context: Mapping[str, Any]) -> str:
    """The template *name* with the values of *context*; one that is missing is an error."""
    return _environment().get_template(name).render(context)


def part(text: str) -> str:
    """*text* as one part of an address, whatever is in it."""
    return quote(text, safe="")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "hst": lambda us: f"{datetime.fromtimestamp(us // 1_000_000, HST):%H:%M:%S}",
        "ut": lambda us: f"{datetime.fromtimestamp(us // 1_000_000, UTC):%H:%M:%S}",
        "part": part,
        "count": count_text,
        "size": size_text,
        "time": time_text,
        "duration": duration_text,
        "base64": lambda content: base64.b64encode(content).decode("ascii"),
    }
    return environment
