"""What is told of Gen2's services, and where the instrument's list can be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.frame_id_counter import Counter
from tests.support.gen2_server import observatory
from vampd.errors import OperatorError, RetryableError
from vampd.io.gen2 import endpoint, find_service, lies_in_private_folder


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"host": "g2", "port": 8000, "transport": "xmlrpc"}, ("g2", 8000)),
        ({"host": "g2", "port": 8000}, ("g2", 8000)),
        ({"host": "g2", "port": 8000, "transport": "xmlrpc", "secure": True}, None),
        ({"host": "g2", "port": 8000, "transport": "socket"}, None),
        ({"host": "g2", "port": 8000, "protocol": "g2rpc-tcp", "transport": "g2rpc-tcp"}, None),
        (
            {
                "host": "g2",
                "port": 8000,
                "protocol": "g2rpc-tcp",
                "alternates": [{"protocol": "xmlrpc", "port": 8001, "encoding": None}],
            },
            ("g2", 8001),
        ),
    ],
)
def test_a_service_is_called_where_it_speaks_plain_xml_rpc(
    row: dict[str, Any], found: tuple[str, int] | None
) -> None:
    assert endpoint(row) == found


@pytest.mark.parametrize(("route", "name"), [("frames", "frames"), ("instrument", "VAMPIRES")])
def test_a_service_is_found_without_a_question(tmp_path: Path, route: str, name: str) -> None:
    counter = Counter(following=1)
    with observatory(tmp_path / "frames_VMPA.txt", counter) as gen2:
        found = find_service(route, gen2.name_service, seconds=10)
        gen2.refuse()
        with pytest.raises(RetryableError, match=f"service {name} of Gen2 cannot be reached"):
            find_service(route, gen2.name_service, seconds=10)
        gen2.protocol = "socket"
        with pytest.raises(OperatorError, match="does not speak plain XML-RPC"):
            find_service(route, gen2.name_service, seconds=10)

    assert found.startswith(f"{name} at 127.0.0.1:")
    assert counter.questions == 0


_OWN_TMP = (
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "90 22 8:1 /tmp/systemd-private-1f-vampd.service-x/tmp /tmp rw - ext4 /dev/sda1 rw\n"
)


@pytest.mark.parametrize(
    ("file", "mounts", "private"),
    [
        ("/tmp/frames_VMPA.txt", _OWN_TMP, True),
        ("/var/lib/frames_VMPA.txt", _OWN_TMP, False),
        ("/tmp/frames_VMPA.txt", _OWN_TMP.splitlines()[0], False),
    ],
)
def test_a_tmp_of_the_services_own_is_noticed_before_anything_is_asked(
    file: str, mounts: str, *, private: bool
) -> None:
    assert lies_in_private_folder(Path(file), mounts) is private
