"""What is to be done about a mail that tells of another manifest than the present one."""

from __future__ import annotations

from vampd.ledger.mail_tracks import MailTrack
from vampd.verbs import TYPED, Verb


def changed_text(track: MailTrack, name: str) -> str:
    """What to ask the archive, and what to type then; *name*: the night as commands take it."""
    ask = f"Ask the archive: if they have the present one, {_typed(Verb.ACK_UNTOLD, name)}"
    if track.accepted:  # then it is no use to say that nothing came
        return ask
    return f"{ask}; if nothing ever came, {_typed(Verb.SEND_ANEW, name)}"


def _typed(verb: Verb, name: str) -> str:
    return TYPED[verb].format(name=name)
