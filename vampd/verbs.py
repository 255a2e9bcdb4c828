"""What can be ordered of a night, and how each order is typed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Verb(StrEnum):
    """What can be ordered of a night; what does different things by an option stands twice."""

    CLOSE = "close"
    RETRY = "retry"
    REDO = "retry --from STAGE"  #: any stage but the first
    REPLAN = "retry --from sync"
    RELEASE = "release"
    HOLD = "hold"
    RESTORE = "restore"
    RESTORE_SAFE = "restore --force"
    ABANDON = "abandon"
    ACCEPT = "quarantine --accept"
    ADD = "quarantine --add"
    GIVE_UP = "quarantine --give-up"
    SEEN = "quarantine --seen"
    ADOPT = "archive ids adopt"
    VOID = "archive ids void"
    SKIP = "archive ids skip"
    KEEP = "space keep"
    UNKEEP = "space keep --no"
    VERIFY = "data verify --record"
    PROVE = "data rebuild-raw --on-record"
    UNDELETE = "space undelete"
    RECLAIM = "space reclaim"
    LET_GO = "space reclaim --let-go-quarantined"
    HOOKS = "admin hooks --again"
    SEND = "archive manifest --send"
    SEND_ANEW = "archive manifest --send --anew"
    ACK = "archive ack"
    ACK_UNTOLD = "archive ack --force"
    REVOKE = "archive ack --revoke"


#: How each is typed; `{name}` is the night as commands take it, and `{path}` a file of it.
TYPED: Mapping[Verb, str] = {
    Verb.CLOSE: "vampd close {name}",
    Verb.RETRY: "vampd retry {name}",
    Verb.REDO: "vampd retry {name} --from {stage}",
    Verb.REPLAN: "vampd retry {name} --from sync",
    Verb.RELEASE: "vampd release {name}",
    Verb.HOLD: "vampd hold {name} --why TEXT",
    Verb.RESTORE: "vampd restore {name}",
    Verb.RESTORE_SAFE: "vampd restore {name} --force",
    Verb.ABANDON: "vampd abandon {name} --why TEXT",
    Verb.ACCEPT: "vampd quarantine {name} {path} --accept",
    Verb.ADD: "vampd quarantine {name} {path} --add --why TEXT",
    Verb.GIVE_UP: "vampd quarantine {name} {path} --give-up --why TEXT",
    Verb.SEEN: "vampd quarantine {name} --seen --why TEXT",
    Verb.ADOPT: "vampd archive ids adopt {name} FIRST..LAST --why TEXT",
    Verb.VOID: "vampd archive ids void {name} --why TEXT",
    Verb.SKIP: "vampd archive ids skip {name} --why TEXT",
    Verb.KEEP: "vampd space keep {name} --why TEXT",
    Verb.UNKEEP: "vampd space keep --no {name}",
    Verb.VERIFY: "vampd data verify {name} --record",
    Verb.PROVE: "vampd data rebuild-raw {name} --on-record",
    Verb.UNDELETE: "vampd space undelete {name}",
    Verb.RECLAIM: "vampd space reclaim {name}",
    Verb.LET_GO: "vampd space reclaim {name} --let-go-quarantined --why TEXT",
    Verb.HOOKS: "vampd admin hooks {name} --again",
    Verb.SEND: "vampd archive manifest {name} --send",
    Verb.SEND_ANEW: "vampd archive manifest {name} --send --anew --why TEXT",
    Verb.ACK: "vampd archive ack {name}",
    Verb.ACK_UNTOLD: "vampd archive ack {name} --force --why TEXT",
    Verb.REVOKE: "vampd archive ack {name} --revoke --why TEXT",
}
