"""What a night's paper says of its frame IDs, and how a ledger that does not know it takes it over.

The paper is written before the ledger binds a number, and before an answer is recorded: a ledger
that was lost, or whose daemon was killed, finds there what it has to go on with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from vampd.errors import IntegrityError
from vampd.io import number_papers
from vampd.io.beneath import Beneath, is_folder, names_in, read_start
from vampd.io.frame_id_asker import is_asking
from vampd.io.frame_id_program import Ending, Reply
from vampd.io.number_papers import Line
from vampd.ledger import frame_ids, requests
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import LAST, FrameId, frame_id_number, frame_id_text
from vampd.ledger.nights import get_night, label
from vampd.ledger.records import Night
from vampd.ledger.requests import FrameRequest
from vampd.ledger.rows import fetch_one
from vampd.states import RequestState

#: Night logs come back from the far end; they name each output, its number and its content.
_LOG = re.compile(r"night(?:\.([0-9]+))?\.log")
_MADE = re.compile(r"^made: (VMPA[0-9]{8}) = (\S+), .*, content ([0-9a-f]{64})$", re.MULTILINE)
_MOST_LOG_BYTES = 1 << 26

_FROM_PAPER = "it stands in the night's paper"
#: What became of a question of which the paper says no end.
DIED = "whoever asked for them died before the answer was recorded"


class Bound(Struct, frozen=True, kw_only=True):
    """A number, and the content of an output to which it belongs."""

    number: int
    batch: int
    content: str | None  #: None: to none yet


class Question(Struct, kw_only=True):
    """What was asked of an issuer, and all that the paper says of it."""

    asked_us: int
    batch: int
    count: int
    issuer: str
    is_going_on: bool  #: whoever asks is alive, or was a moment ago
    came: list[str] = field(default_factory=list)
    ending: Ending | None = None
    error: str = ""
    word: str | None = None  #: an operator's: adopted, or void
    adopted: tuple[int, ...] = ()

    def reply(self) -> Reply:
        """How it ended. Without a word on that, nobody knows."""
        if self.ending is None:
            return Reply(ending=Ending.UNCLEAR, lines=tuple(self.came), error=DIED)
        return Reply(ending=self.ending, lines=tuple(self.came), error=self.error)


class Told(Struct, frozen=True, kw_only=True):
    """A night's paper."""

    bound: Mapping[int, Bound] = field(default_factory=dict)  #: by number; of two words the later
    questions: tuple[Question, ...] = ()

    def question(self, asked_us: int) -> Question | None:
        """The one that was asked then."""
        return next((each for each in self.questions if each.asked_us == asked_us), None)


def read(night: Beneath) -> Told:
    """What the papers in a night's folder say; where there is none, the logs that travel with it.

    IntegrityError: a paper was changed after it was written. OSError: it cannot be read.
    """
    lines = number_papers.read(night)
    try:
        return _told(lines) if lines else Told(bound=dict(_logged(night)))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        msg = f"{night / number_papers.PAPER}: a line lacks {error}, or it is of another vampd"
        raise IntegrityError(msg) from error


def binding_lines(
    told: Told, batch: int, planned: Mapping[str, int], names: Mapping[str, str]
) -> list[Line]:
    """The lines that the paper lacks before the numbers *planned*, by content, may be used.

    *names* are the outputs' own, by content, for people.
    """
    lines: list[Line] = []
    for content, number in planned.items():
        if told.bound.get(number) != Bound(number=number, batch=batch, content=content):
            about = {"batch": batch, "content": content, "name": names[content]}
            lines.append({"do": "bind", "number": frame_id_text(number), **about})
    return lines


def word_line(request: FrameRequest, state: RequestState, adopted: Iterable[int] = ()) -> Line:
    """What an operator said of an unclear request."""
    about = {"batch": request.batch, "count": request.count, "issuer": request.issuer}
    numbers = [frame_id_text(number) for number in adopted]
    word = {"request": request.asked_us, "word": state.value, "numbers": numbers}
    return {"do": "word", **about, **word}


def take_over(ledger: Ledger, night: Night, told: Told, *, batch: int | None = None) -> None:
    """Let the ledger know what the night's paper says, and it does not.

    With *batch*, all of it counts for that one: whoever lost the others takes the night as one.
    IntegrityError: the two contradict each other.
    """
    with ledger.transaction():
        contents = {
            (each_batch, content)
            for each_batch, content in ledger.execute(
                "select batch, content_key from frame_id where night = ? and state = 'bound'",
                [night.id],
            )
        }
        for each in told.bound.values():
            bound = replace(each, batch=batch or each.batch)
            content = (bound.batch, bound.content)
            if _take(ledger, night, bound, "void" if content in contents else "bound"):
                contents.add(content)
        for question in told.questions:
            _take_question(ledger, night, question, told, batch or question.batch)


def _told(lines: Iterable[Line]) -> Told:
    bound: dict[int, Bound] = {}
    questions: dict[int, Question] = {}
    for line in lines:
        do = line["do"]
        if do == "bind":
            number = _number(line["number"])
            bound[number] = Bound(
                number=number, batch=int(line["batch"]), content=str(line["content"])
            )
        else:
            asked_us = int(line["request"])
            if do == "ask" or (do == "word" and asked_us not in questions):
                questions[asked_us] = _asked(asked_us, line)
            _add(questions[asked_us], line)
    return Told(bound=bound, questions=tuple(questions.values()))


def _asked(asked_us: int, line: Line) -> Question:
    """Of one that a dying daemon never asked, only an operator's word may be on paper."""
    return Question(
        asked_us=asked_us,
        batch=int(line["batch"]),
        count=int(line["count"]),
        issuer=str(line["issuer"]),
        is_going_on=line["do"] == "ask" and is_asking(line),
    )


def _add(question: Question, line: Line) -> None:
    if line["do"] == "came":
        question.came.append(str(line["text"]))
    elif line["do"] == "end":
        question.ending, question.error = Ending(line["ending"]), str(line["error"])
        question.came = [str(text) for text in line["lines"]]
        question.is_going_on = False
    elif line["do"] == "word":
        question.word = str(line["word"])
        question.adopted = tuple(map(_number, line["numbers"]))


def _number(text: str) -> int:
    number = frame_id_number(text)
    if number is None or number > LAST:
        msg = f"a frame ID, but {text!r}"
        raise ValueError(msg)
    return number


def _logged(night: Beneath) -> Iterable[tuple[int, Bound]]:
    """The outputs in the night's logs."""
    scratch = night / number_papers.FOLDER
    if not is_folder(scratch):
        return
    for name in names_in(scratch):
        match = _LOG.fullmatch(name)
        if match is None:
            continue
        text = read_start(scratch / name, _MOST_LOG_BYTES).decode(errors="replace")
        for made in _MADE.finditer(text):
            number = _number(made[1])
            yield number, Bound(number=number, batch=int(match[1] or 1), content=made[3])


def _take(ledger: Ledger, night: Night, told: Bound, state: str) -> bool:
    """Have a number as the paper says, unless the ledger knows more; whether it is had now."""
    number = told.number
    row = fetch_one(FrameId, ledger, "select * from frame_id where number = ?", [number])
    if row is not None and row.night != night.id:
        other = get_night(ledger, row.night)
        msg = (
            f"{frame_id_text(number)} is {label(night)}'s by {night.folder}/"
            f"{number_papers.PAPER}, and {label(other)}'s by the ledger; if that paper came from"
            " another folder, move it away"
        )
        raise IntegrityError(msg)
    is_less = row is not None and row.state == "reserved" and told.content is not None
    if row is not None and not (row.is_foreign or is_less):
        return False
    frame_ids.take_over(
        ledger,
        night.id,
        number,
        batch=told.batch,
        content_key=told.content,
        state=state,
        why=_FROM_PAPER,
    )
    return True


def _take_question(
    ledger: Ledger, night: Night, question: Question, told: Told, batch: int
) -> None:
    """A question of a ledger that was lost: what came of it is used, or never."""
    if question.ending in {Ending.NOTHING_YET, Ending.NOTHING_AT_ALL}:
        return
    state = _state(question, told)
    reply = None if state is RequestState.ASKED else question.came
    known = requests.asked_at(ledger, night, question.asked_us)
    if known is None:
        requests.take_over(
            ledger,
            night,
            state,
            asked_us=question.asked_us,
            batch=batch,
            count=question.count,
            issuer=question.issuer,
            reply=reply,
        )
    elif state is RequestState.ASKED or not requests.decide(
        ledger, known.id, state, _FROM_PAPER, reply=reply
    ):
        return
    if state in {RequestState.ANSWERED, RequestState.ADOPTED}:
        for number in question.adopted or _numbers(question):
            if number not in told.bound:
                _take(ledger, night, Bound(number=number, batch=batch, content=None), "reserved")


def _state(question: Question, told: Told) -> RequestState:
    """What the lost ledger made of it: nothing more is asked before the last answer is decided."""
    if question.word is not None:
        return RequestState(question.word)
    is_last = question is told.questions[-1]
    was_used = any(number in told.bound for number in _numbers(question))
    if was_used or (question.ending is Ending.ANSWERED and not is_last):
        return RequestState.ANSWERED
    return RequestState.ASKED if is_last else RequestState.VOID


def _numbers(question: Question) -> list[int]:
    found = [frame_id_number(line.strip()) for line in question.came]
    return [number for number in found if number is not None]
