"""The operators are told by mail what is wrong, and that it is over."""

from __future__ import annotations

from pathlib import Path

from tests.support.mail_server import post_office
from tests.support.receive_world import DATE, make_world, some_files
from tests.support.waiting import wait_until

OUTPUT = "vgen2/VMPA00425189.fits.fz"


def test_what_is_wrong_is_mailed_again_after_a_refusal_and_told_to_be_over(tmp_path: Path) -> None:
    with post_office() as office:
        mail = (
            f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\nsender = "vampd@example.org"\n'
            '[alerts]\nrecipients = ["duty@example.org"]\nevery_minutes = 0\n'
        )
        world = make_world(tmp_path, more=mail)
        office.contents.append("451 later")
        files = some_files(2)
        world.deliver(files)
        (world.inbox() / OUTPUT).write_bytes(b"damaged")

        with world.running():
            wait_until(lambda: bool(office.accepted))
            (world.inbox() / OUTPUT).write_bytes(files[OUTPUT])
            wait_until(lambda: len(office.accepted) > 1)

    first, second = office.accepted[0], office.accepted[-1]
    assert office.received[0].content == first.content  # the very same bytes
    assert first.recipients == ("duty@example.org",)
    assert "1 critical" in str(first.mail["Subject"])
    assert f"archive {DATE}: 1 file wrong, {OUTPUT} first" in first.text.replace("\n", " ")
    assert "all is well again" in str(second.mail["Subject"])
