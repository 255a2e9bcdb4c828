"""Programs that ask for JSON get JSON, whatever a card held."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from hypothesis import given
from hypothesis import strategies as st

from vampd.commands.headers import _content
from vampd.commands.screen import json_text
from vampd.plain_json import plain_json

_PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.floats()
_VALUES = st.recursive(
    _PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def _refuse(constant: str) -> NoReturn:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def read_strictly(text: str) -> Any:
    """As RFC 8259 has it: neither NaN nor Infinity."""
    return json.loads(text, parse_constant=_refuse)


@given(_VALUES)
def test_any_answer_is_json_and_only_what_is_no_number_is_null(value: Any) -> None:
    def nulled(each: Any) -> Any:
        if isinstance(each, float) and not math.isfinite(each):
            return None
        if isinstance(each, dict):
            return {key: nulled(inner) for key, inner in each.items()}
        return [nulled(inner) for inner in each] if isinstance(each, list) else each

    assert read_strictly(plain_json(value)) == nulled(value)


def test_an_infinite_card_is_null_in_the_table_of_headers() -> None:
    text = _content("json", ["file_path", "EXPTIME"], [("a", math.inf), ("b", 1.5)]).decode()

    assert [row["EXPTIME"] for row in read_strictly(text)["files"]] == [None, 1.5]


def test_a_tuple_within_an_answer_is_looked_through() -> None:
    assert read_strictly(json_text({"rows": ((1.0, math.nan),)}))["rows"] == [[1.0, None]]
