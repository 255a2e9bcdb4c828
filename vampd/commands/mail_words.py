"""How the commands tell of a night's mail to the archive team: in words, and in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vampd.commands.screen import record_json, time_json, time_text
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.ledger.records import Night
from vampd.views.mails import changed_text


def track_json(night: Night, track: MailTrack) -> dict[str, Any]:
    """The mail of one batch of a night, for programs."""
    return {
        **record_json(night, "kind", "date"),
        **record_json(track, "batch", "state"),
        "manifest": str(Path(night.folder) / track.manifest) if track.manifest else None,
        **record_json(track, "manifest_sha256", "subject", "message_id", "attempts", "in_doubt"),
        **record_json(track, "error", "accepted", "refused", "composed_us", "sent_us"),
        "next_attempt": time_json(track.due_us or None),
        **record_json(track, "acknowledged=acked_us", "acknowledged_by=acked_by", "note"),
    }


def track_text(track: MailTrack, name: str) -> str:
    """The mail of one batch of a night, which commands take as *name*, in a sentence."""
    send = f"vampd archive manifest {name} --send"
    ack = f"vampd archive ack {name}"
    sent = time_text(track.sent_us) if track.sent_us is not None else ""
    acked = time_text(track.acked_us) if track.acked_us is not None else ""
    again = f"; tried again {time_text(track.due_us)}" if track.due_us else ""
    trouble = f": not yet, {track.attempts} attempts: {track.error}{again}" if track.error else ""
    words = {
        Track.READY: f"ready to be sent: {send}",
        Track.SENDING: f"being sent{trouble}",
        Track.FAILED: f"failed: {track.error}; mend that, then: {send}",
        Track.SENT: f"sent {sent}, {track.message_id}; when the archive answers: {ack}",
        Track.CHANGED: f"of another manifest than the present one. {changed_text(track, name)}",
        Track.ACKNOWLEDGED: f"acknowledged {acked} by {track.acked_by}",
    }
    return words.get(track.state, track.state.value)
