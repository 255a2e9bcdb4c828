from __future__ import annotations

import pytest

from vampd.receive.number_limits import number_limit, outside


@pytest.mark.parametrize(
    ("limit", "numbers", "told"),
    [
        ("frames >= 100", '{"frames": 100}', []),
        ("frames >= 100", '{"frames": 99}', ["frames is 99, expected >= 100"]),
        ("seeing < 2.5", '{"seeing": 2.5}', ["seeing is 2.5, expected < 2.5"]),
        ("drift > -1e-3", '{"drift": 0}', []),
        ("drift <= 0", '{"drift": true}', ["drift is true, expected <= 0"]),
        ("drift <= 0", '{"drift": NaN}', ["drift is nan, expected <= 0"]),
        ("drift <= 0", '{"frames": 3}', ["drift is nothing, expected <= 0"]),
        ("drift <= 0", None, ["drift is nothing, expected <= 0"]),
    ],
)
def test_a_number_that_is_outside_or_missing_is_told(
    limit: str, numbers: str | None, told: list[str]
) -> None:
    assert list(outside([number_limit(limit)], numbers)) == told


@pytest.mark.parametrize("text", ["frames", "frames = 1", "frames >= many", "3 > 2", ""])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no limit such as"):
        number_limit(text)
