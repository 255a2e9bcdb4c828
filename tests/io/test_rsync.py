from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vampd.errors import ConfigError, OperatorError, RetryableError, VampdError
from vampd.io.process import Finished
from vampd.remote import rsync, ssh
from vampd.remote.digests import parse_digests
from vampd.remote.location import Location

DIGEST = "0" * 63 + "1"


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("/mnt/tier1/", None, "/mnt/tier1"),
        ("/", None, "/"),
        ("scexao6:/mnt/tier1/2_ARCHIVED_DATA", "scexao6", "/mnt/tier1/2_ARCHIVED_DATA"),
        ("vampires@scexao6:/mnt", "vampires@scexao6", "/mnt"),
        ("[::1]:/mnt", "::1", "/mnt"),
        ("me@[fe80::1]:/mnt", "me@fe80::1", "/mnt"),
        ("scexao6:/mnt/two words/./x//y", "scexao6", "/mnt/two words/x/y"),
        ("/mnt/a:b", None, "/mnt/a:b"),
    ],
)
def test_a_place_is_read_once_and_written_back(text: str, host: str | None, path: str) -> None:
    place = Location.parse(text)

    assert (place.host, place.path) == (host, path)
    assert Location.parse(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mnt",
        "scexao6:mnt",
        "scexao6:",
        "scexao6::module/x",
        "-oProxyCommand=evil:/x",
        "a@-b:/x",
        "two words:/x",
        "scexao6: /x",
        "/x/../y",
        "scexao6:/x\n",
        "/x\x00",
        "/x\u202e",
        "$(evil):/x",
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a place"):
        Location.parse(text)


@pytest.mark.parametrize("relative", ["", "/etc", "../x", "a/../../x"])
def test_a_child_lies_below(relative: str) -> None:
    with pytest.raises(ConfigError):
        Location.parse("scexao6:/mnt").child(relative)


@given(st.from_regex(r"([a-z@]{1,9}:|\[[0-9:]{1,9}\]:)?/[ -~]{0,20}", fullmatch=True))
def test_whatever_is_read_is_written_back(text: str) -> None:
    try:
        place = Location.parse(text)
    except ConfigError:
        return

    assert Location.parse(str(place)) == place
    assert Location.parse(str(place.child("20251106"))).path.endswith("/20251106")


def test_the_command_neither_trusts_newer_files_nor_uses_final_names() -> None:
    command = rsync.rsync_command(
        Path("/data/20251106"), Location.parse("scexao6:/mnt/20251106"), bandwidth_kib=500
    )

    assert "--update" not in command
    assert "--inplace" not in command
    assert "--bwlimit=500" in command
    assert "--checksum" not in command
    assert command[-3:] == ["--", "/data/20251106/", "scexao6:/mnt/20251106/"]


def test_the_operators_ssh_options_come_before_our_defaults_but_not_before_batch_mode() -> None:
    words = ssh.ssh_options(["-o", "ConnectTimeout=99"], connect_timeout_seconds=5)

    assert words.index("BatchMode=yes") < words.index("ConnectTimeout=99")
    assert words.index("ConnectTimeout=99") < words.index("ConnectTimeout=5")
    assert words.index("StrictHostKeyChecking=yes") < words.index("ConnectTimeout=99")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "vgen2/../../x", "a\nb", "a\0b", "", "vgen2/\u00e9"]
)
def test_a_path_that_leaves_the_night_is_never_sent(path: str) -> None:
    with pytest.raises(OperatorError, match="nothing was sent"):
        rsync.file_list(["vgen2/fine", path])


def finished(stdout: bytes, stderr: str = "", code: int = 0) -> Finished:
    return Finished(code=code, stdout=stdout, stderr_tail=stderr)


def record(name: str, digest: str = DIGEST) -> bytes:
    return f"{digest}  {name}\0".encode()


def test_digests_and_complaints_are_told_apart_file_by_file() -> None:
    answers = parse_digests(
        finished(
            record("/n/a:b"),
            "sync: error opening '/n/c:d': No such file or directory\n"
            "sha256sum: '/n/c:d': No such file or directory\n"
            "sha256sum: /n/e: Permission denied",
            123,
        ),
        {"/n/a:b", "/n/c:d", "/n/e"},
    )

    assert answers["/n/a:b"].sha256 == DIGEST
    assert answers["/n/c:d"].why == "No such file or directory"
    assert answers["/n/e"].why == "Permission denied"


def test_a_file_that_could_not_be_made_durable_has_no_digest() -> None:
    answers = parse_digests(
        finished(record("/n/a"), "sync: error syncing '/n/a': Input/output error", 123), {"/n/a"}
    )

    assert answers["/n/a"].sha256 is None


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"Welcome to scexao6\n" + record("/n/a"),
        record("/n/a") + record("/n/a"),
        record("/n/a") + record("/n/b"),
        record("/n/a")[:-1],
        record("/n/a")[:40],
        record("/n/a", DIGEST.upper().replace("0", "A")),
        record("/n/a") + b"\0",
        f"{DIGEST}  -\0".encode(),
        f"\\{DIGEST}  /n/a\0".encode(),
    ],
)
@pytest.mark.parametrize("code", [0, 123])
def test_an_answer_that_does_not_fit_is_not_believed(stdout: bytes, code: int) -> None:
    with pytest.raises(OperatorError, match="sha256sum"):
        parse_digests(finished(stdout, code=code), {"/n/a"})


@pytest.mark.parametrize(
    ("code", "stderr", "wrong"),
    [
        (255, "ssh: connect to host x port 22: No route to host", RetryableError),
        (255, "Host key verification failed.", OperatorError),
        (125, "xargs: sh: terminated by signal 9", RetryableError),
        (137, "", RetryableError),
        (-15, "", RetryableError),
        (127, "sh: xargs: not found", OperatorError),
        (1, "This account is currently not available.", OperatorError),
    ],
)
def test_a_failed_sha256sum_is_nobodys_digest(
    code: int, stderr: str, wrong: type[VampdError]
) -> None:
    with pytest.raises(VampdError) as caught:
        parse_digests(finished(record("/n/a"), stderr, code), {"/n/a"})

    assert type(caught.value) is wrong
