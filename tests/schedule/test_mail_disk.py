"""A mail waits for the disk on which its manifest lies."""

from __future__ import annotations

from tests.schedule.test_mail import Scene, scene
from vampd.io.disk import claim_root
from vampd.ledger.mail_tracks import Track

__all__ = ["scene"]


def test_a_mail_is_put_off_while_the_disk_of_its_night_is_away(scene: Scene) -> None:
    night = scene.night("20251106")
    root = scene.folder / "archive"
    scene.ledger.insert("root", path=str(root), marker=claim_root(root), claimed_us=1)

    root.rename(scene.folder / "away")
    scene.send(night)
    scene.work()
    meanwhile = scene.track(night)
    (scene.folder / "away").rename(root)
    scene.clock.pass_seconds(3600)
    scene.work()

    assert meanwhile.state is Track.SENDING
    assert "marker" in (meanwhile.error or "")
    assert scene.track(night).state is Track.SENT
    assert len(scene.contents()) == 1
