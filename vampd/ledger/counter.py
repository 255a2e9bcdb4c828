"""Where the counter of frame IDs stands, by all that is known.

vampd's own records say it: what it dealt itself, the mark in the roots, `frame_ids.first`, an
operator's word. Whatever else bears a number may be an output of long ago, or somebody's slip of
the pen. It is never dealt again; it moves the counter as far as is plausible, and where it is
not, it is told, and an operator decides.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from vampd.errors import OperatorError
from vampd.io.number_runs import MOST_OF_A_NIGHT, runs_of
from vampd.ledger.connection import Ledger, Row
from vampd.ledger.frame_ids import LAST, frame_id_text, reserve
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night

#: So many that stand together far from where the counter should be are no slip: either they or the
#: settings are wrong, and nobody here can tell which.
A_CROWD = 100
#: Numbers of outputs follow each other; so far apart they may be, for those between have gone.
_CLOSE_BY = 1000


class Seen(Struct, frozen=True, kw_only=True):
    """The highest number that is known to be used, and where that is said."""

    number: int
    place: str


class Claim(Struct, frozen=True, kw_only=True):
    """Numbers in succession that something bears which vampd did not deal itself."""

    first: int
    last: int
    place: str  #: the file that bears the first of them, or where it is said
    source: str  #: the night to which that belongs

    def __str__(self) -> str:
        return f"{range_text(self.first, self.last)} in {self.place}"

    @property
    def count(self) -> int:
        """How many numbers they are."""
        return self.last - self.first + 1


class Known(Struct, frozen=True, kw_only=True):
    """What is known of the numbers that were used."""

    top: Seen  #: where the counter stands: the next number is above
    is_own: bool  #: vampd's own records say so, not the settings alone
    claims: tuple[Claim, ...]  #: what is borne above that, plausible or not: never dealt
    strange: tuple[Claim, ...]  #: of these, what is too far above, and what no operator dismissed


def range_text(first: int, last: int) -> str:
    """One frame ID, or the first and the last of several in succession."""
    only = frame_id_text(first)
    return only if first == last else f"{only}..{frame_id_text(last)}"


def spans_text(numbers: Iterable[int]) -> str:
    """Frame IDs in runs, for people: between `A to B` there are all, and no other night's."""
    runs = runs_of((number, "") for number in numbers)
    return ", ".join(range_text(first, last).replace("..", " to ") for first, last, _ in runs)


def runs_text(runs: Iterable[Sequence[Any]]) -> str:
    """Runs, each with its first and last number in front, as commands take them."""
    return ",".join(range_text(first, last) for first, last, *_ in runs)


def judge(base: Seen, claims: Iterable[Claim]) -> tuple[Seen, list[Claim]]:
    """How far *claims* move the counter from *base*, and those that are too far above to be true.

    One source moves it by `MOST_OF_A_NIGHT` at most, however many numbers it shows.
    """
    top, strange = base, []
    moved: dict[str, int] = defaultdict(int)
    for claim in sorted(claims, key=_by_number):
        step = claim.last - top.number
        if step <= 0:
            continue
        if moved[claim.source] + step > MOST_OF_A_NIGHT:
            strange.append(claim)
            continue
        moved[claim.source] += step
        top = Seen(number=claim.last, place=claim.place)
    return top, strange


def crowd(claims: Iterable[Claim]) -> list[Claim]:
    """The largest number of claims that stand together, if they are `A_CROWD`; else none."""
    groups: list[list[Claim]] = []
    for claim in sorted(claims, key=_by_number):
        if groups and claim.first - groups[-1][-1].last <= _CLOSE_BY:
            groups[-1].append(claim)
        else:
            groups.append([claim])
    largest = max(groups, key=_size, default=[])
    return largest if _size(largest) >= A_CROWD else []


def following(known_: Known, count: int) -> list[int]:
    """The next *count* numbers that nothing bears, ascending."""
    numbers: list[int] = []
    position = known_.top.number + 1
    for claim in sorted(known_.claims, key=_by_number):
        numbers += range(position, min(claim.first, position + count - len(numbers)))
        position = max(position, claim.last + 1)
        if len(numbers) == count:
            return numbers
    return [*numbers, *range(position, position + count - len(numbers))]


def bearer(claims: Iterable[Claim], number: int) -> Claim | None:
    """What bears *number*, if anything does."""
    return next((claim for claim in claims if claim.first <= number <= claim.last), None)


def known(ledger: Reader, first: int | None) -> Known:
    """Where the counter stands; *first* as the settings say it."""
    own = list(_own(ledger))
    base = Seen(number=(first or 1) - 1, place="frame_ids.first of the settings")
    base = max([base, *own], key=lambda seen: seen.number)
    claims = tuple(_claims(ledger, base.number))
    ranges = dismissed(ledger)
    heeded = [claim for claim in claims if not is_within(claim.first, claim.last, ranges)]
    top, strange = judge(base, heeded)
    return Known(top=top, is_own=bool(own), claims=claims, strange=tuple(strange))


def strange_places(ledger: Reader, first: int | None) -> dict[str, str]:
    """By place: the frame IDs that stand there too far above all that is known to be believed."""
    by_place: dict[str, list[Claim]] = defaultdict(list)
    for claim in known(ledger, first).strange:
        by_place[claim.place].append(claim)
    return {
        place: range_text(claims[0].first, max(each.last for each in claims))
        for place, claims in by_place.items()
    }


def strange_texts(ledger: Reader, first: int | None) -> list[str]:
    """What of others' numbers an operator should decide about, a line each, and what to type."""
    top = known(ledger, first).top
    found = [
        f"{ids} in {place}: too far above {frame_id_text(top.number)} ({top.place}) to be"
        f" believed, so numbers go on from there; if they were used: vampd archive ids used"
        f" {ids.rpartition('..')[2]} --why TEXT; if not: vampd archive ids dismiss {ids} --why TEXT"
        for place, ids in strange_places(ledger, first).items()
    ]
    query = "select note from number_seen where note is not null order by folder"
    return found + [row["note"] for row in ledger.execute(query)]


def findings(ledger: Reader, first: int | None) -> list[str]:
    """All of that, and the far ends that did not say what was delivered there."""
    query = "select * from number_look where error is not null order by place"
    return strange_texts(ledger, first) + [
        f"{row['place']}: which frame IDs were delivered there was not seen when numbers were"
        f" dealt, and is asked again with the next ones: {row['error'].splitlines()[0]}"
        for row in ledger.execute(query)
    ]


def reserve_following(ledger: Ledger, night: Night, count: int, first: int | None) -> None:
    """Reserve *count* numbers of our own, above everything that is known.

    OperatorError: they are used up, and the message says what used the last; or nothing but the
    settings says where the counter stands, and something speaks against them.
    """
    found = known(ledger.connection, first)
    if not found.is_own:
        _refuse_crowd(found)
        _refuse_blind(ledger, found)
    numbers = following(found, count)
    top = f"{frame_id_text(found.top.number)} in {found.top.place}"
    if numbers and numbers[-1] > LAST:
        msg = (
            f"the frame IDs are used up: {count} are needed above {top},"
            f" and {frame_id_text(LAST)} is the last one there is"
        )
        raise OperatorError(msg)
    reserve(ledger, night, numbers, f"dealt by vampd's own counter: above {top}")


def highest_dealt(ledger: Reader) -> int:
    """The highest number that vampd dealt itself; 0: none."""
    query = "select coalesce(max(number), 0) from frame_id where not is_foreign"
    return int(ledger.execute(query).fetchone()[0])


def dismissed(ledger: Reader) -> list[tuple[int, int]]:
    """First and last of the numbers of which an operator said that nothing follows from them."""
    return [(row["first"], row["last"]) for row in _words(ledger, "dismissed")]


def is_within(first: int, last: int, ranges: Iterable[tuple[int, int]]) -> bool:
    """Whether one of *ranges* holds all these numbers."""
    return any(low <= first and last <= high for low, high in ranges)


def own_top(ledger: Ledger) -> int:
    """The highest number that vampd dealt, or an operator called used; 0: none."""
    return max((seen.number for seen in _own(ledger.connection)), default=0)


def unexplained(ledger: Ledger, night: Night, runs: Iterable[Sequence[Any]]) -> bool:
    """Whether something bears numbers which are not the night's, and that nobody dismissed."""
    own = {
        row["number"]
        for row in ledger.rows("select number from frame_id where night = ?", [night.id])
    }
    ranges = dismissed(ledger.connection)
    return any(
        number not in own and not is_within(number, number, ranges)
        for first, last, *_ in runs
        for number in range(first, last + 1)
    )


def say(ledger: Ledger, word: str, first: int, last: int, why: str) -> None:
    """Keep an operator's *word*, "used" or "dismissed", of the numbers *first* to *last*."""
    ledger.insert("number_word", first=first, last=last, word=word, **ledger.stamp(why))


def _refuse_crowd(found: Known) -> None:
    """OperatorError: many files say that the settings are wrong, and vampd never dealt a number."""
    together = crowd(found.strange)
    if together:
        last = max(claim.last for claim in together)
        msg = (
            f"{_size(together)} frame IDs, {together[0]} first, are far above"
            f" {frame_id_text(found.top.number)} in {found.top.place}, and vampd dealt none yet:"
            f" if they were used, set frame_ids.first above {frame_id_text(last)}; if not:"
            f" vampd archive ids dismiss {range_text(together[0].first, last)} --why TEXT"
        )
        raise OperatorError(msg)


def _refuse_blind(ledger: Ledger, found: Known) -> None:
    """OperatorError: nights were delivered, so numbers were dealt, and not one of them is seen."""
    (sees_any,) = ledger.connection.execute(
        "select exists (select 1 from number_seen where highest > 0)"
        " or exists (select 1 from frame_id)"
    ).fetchone()
    row = ledger.row("select * from number_look where nights > 0 limit 1")
    if row is not None and not sees_any:
        msg = (
            f"{row['nights']} nights were delivered to {row['place']}, and none of their frame IDs"
            " is to be seen, neither there nor here: nobody knows which were dealt. Find out the"
            f" highest, then: vampd archive ids used NUMBER --why TEXT; if none is above"
            f" {frame_id_text(found.top.number)}, say so of that one"
        )
        raise OperatorError(msg)


def _own(ledger: Reader) -> Iterator[Seen]:
    """How high numbers were used, by what vampd itself or an operator wrote down."""
    dealt = highest_dealt(ledger)
    if dealt:
        yield Seen(number=dealt, place="the ledger")
    query = "select highest, place from number_seen where source = 'mark' and highest > 0"
    for row in ledger.execute(query):
        yield Seen(number=row["highest"], place=row["place"])
    for row in _words(ledger, "used")[-1:]:  # one that was a slip is taken back by another
        yield Seen(number=row["last"], place=f"the word of {row['changed_by']}")


def _words(ledger: Reader, word: str) -> Sequence[Row]:
    query = "select * from number_word where word = ? order by id"
    return ledger.execute(query, (word,)).fetchall()


def _claims(ledger: Reader, base: int) -> Iterator[Claim]:
    """All that bears numbers above *base*, which none is that vampd dealt."""
    query = "select folder, runs from number_seen where source != 'mark' and highest > ?"
    for row in ledger.execute(query, (base,)):
        for first, last, place in json.loads(row["runs"]):
            if last > base:
                low = max(first, base + 1)
                yield Claim(first=low, last=last, place=place, source=row["folder"])
    numbers: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in ledger.execute(
        "select number, folder, frame_id.why from frame_id"
        " join night on night.id = frame_id.night where is_foreign and number > ?",
        (base,),
    ):
        numbers[row["folder"]].append((row["number"], f"the ledger: {row['why']}"))
    for folder, of_night in numbers.items():
        for first, last, place in runs_of(of_night):
            yield Claim(first=first, last=last, place=place, source=folder)


def _by_number(claim: Claim) -> tuple[int, int]:
    return claim.first, claim.last


def _size(claims: Iterable[Claim]) -> int:
    return sum(claim.count for claim in claims)
