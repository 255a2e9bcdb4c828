"""What the words of the programs mean; they were copied from what those print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vampd.errors import IntegrityError, OperatorError, RetryableError, VampdError
from vampd.remote.failures import understood
from vampd.states import ErrorCode

# Words of rsync 3.2.7 and 3.5.0, and of OpenSSH 9.2.
NO_SPACE = (
    'rsync: [receiver] write failed on "/mnt/x": No space left on device (28)\n'
    "rsync error: error in file IO (code 11) at receiver.c(381) [receiver=3.2.7]"
)
MISSING = (
    'rsync: [Receiver] mkdir "/nope/20251106" failed: No such file or directory (2)\n'
    "rsync error: error in file IO (code 11) at main.c(808) [Receiver=3.5.0]"
)
IN_THE_WAY = (
    'rsync: [Receiver] ERROR: cannot stat destination "/mnt/20251106/": Not a directory (20)\n'
    "rsync error: errors selecting input/output files, dirs (code 3) at main.c(789)"
)
FORBIDDEN = (
    'rsync: [generator] recv_generator: mkdir "/mnt/20251106/vgen2" failed: '
    "Permission denied (13)\n"
    "*** Skipping any contents from this failed directory ***\n"
    "rsync error: some files/attrs were not transferred (see previous errors) (code 23)"
)
READ_ONLY = (
    'rsync: [receiver] mkstemp "/mnt/.x.abc" failed: Read-only file system (30)\n'
    "rsync error: some files/attrs were not transferred (see previous errors) (code 23)"
)
SOURCE_GONE = (
    'rsync: [sender] link_stat "/data/vgen2/c" failed: No such file or directory (2)\n'
    "rsync error: some files/attrs were not transferred (see previous errors) (code 23)"
)
SOURCE_UNREADABLE = 'rsync: [sender] read errors mapping "/data/x": Input/output error (5)'
SOURCE_FORBIDDEN = 'rsync: [sender] send_files failed to open "/data/x": Permission denied (13)'
CUT = (
    "rsync: [sender] write error: Broken pipe (32)\n"
    "rsync: connection unexpectedly closed (1000 bytes received so far) [sender]\n"
    "rsync error: error in rsync protocol data stream (code 12) at io.c(231) [sender=3.2.7]"
)
REFUSED = "ssh: connect to host scexao6 port 22: Connection refused\n" + CUT
NO_NAME = "ssh: Could not resolve hostname scexao9: Name or service not known\n" + CUT
NO_RESOLVER = "ssh: Could not resolve hostname x: Temporary failure in name resolution\n" + CUT
HOST_KEY = "Host key verification failed.\n" + CUT
LOGIN = "vampires@scexao6: Permission denied (publickey,password).\n" + CUT
NO_RSYNC = "bash: line 1: rsync: command not found\n" + CUT


@pytest.mark.parametrize(
    ("code", "stderr", "wrong"),
    [
        (11, NO_SPACE, RetryableError),
        (23, NO_SPACE, RetryableError),
        (12, NO_SPACE + "\n" + CUT, RetryableError),
        (11, NO_SPACE.replace("No space left on device (28)", "Disk quota exceeded (122)"),
         RetryableError),
        (11, MISSING, OperatorError),
        (12, MISSING + "\n" + CUT, OperatorError),
        (3, IN_THE_WAY, OperatorError),
        (23, FORBIDDEN, OperatorError),
        (23, READ_ONLY, OperatorError),
        (23, SOURCE_GONE, IntegrityError),
        (24, 'file has vanished: "/data/vgen2/c"', IntegrityError),
        (23, SOURCE_UNREADABLE, IntegrityError),
        (23, SOURCE_FORBIDDEN, OperatorError),
        (12, CUT, RetryableError),
        (12, REFUSED, RetryableError),
        (255, REFUSED, RetryableError),
        (12, NO_NAME, OperatorError),
        (255, NO_RESOLVER, RetryableError),
        (255, HOST_KEY, OperatorError),
        (12, HOST_KEY, OperatorError),
        (255, LOGIN, OperatorError),
        (255, "", RetryableError),
        (11, "", RetryableError),
        (10, "", RetryableError),
        (30, "rsync error: timeout in data send/receive (code 30)", RetryableError),
        (35, "", RetryableError),
        (20, "", RetryableError),
        (-9, "", RetryableError),
        (127, NO_RSYNC, OperatorError),
        (12, NO_RSYNC, OperatorError),
        (12, NO_RSYNC.replace("rsync: command", "command"), OperatorError),
        (12, "sh: 1: rsync: not found", OperatorError),
        (1, "rsync: --fsync: unknown option", OperatorError),
        (2, "protocol version mismatch -- is your shell clean?", OperatorError),
        (23, "", OperatorError),
    ],
)  # fmt: skip
def test_a_failure_says_who_must_act(code: int, stderr: str, wrong: type[VampdError]) -> None:
    assert understood("rsync", code, stderr).error is wrong


# Words of OpenSSH 9.2, rsync 3.5.0, coreutils 9.1 and vampd-remote.
CHANGED_KEY = (
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n"
    "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n"
    "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n"
    "Someone could be eavesdropping on you right now (man-in-the-middle attack)!\n"
    "It is also possible that a host key has just been changed.\n"
    "The fingerprint for the ED25519 key sent by the remote host is\n"
    "SHA256:tPjoTRCDCaHExAADLW0CJkUNGZrG5QjC1p/3/+D8jJ4.\n"
    "Please contact your system administrator.\n"
    "Add correct host key in /etc/vampd/known_hosts to get rid of this message.\n"
    "Offending ED25519 key in /etc/vampd/known_hosts:1\n"
    "Host key for [127.0.0.1]:36815 has changed and you have requested strict checking.\n"
    "Host key verification failed."
)
UNKNOWN_KEY = (
    "No ED25519 host key is known for [127.0.0.1]:36815 and you have requested strict checking.\n"
    "Host key verification failed."
)

CASES = [
    ("ssh", 255, CHANGED_KEY, OperatorError, ErrorCode.HOST_KEY,
     "the host key of [127.0.0.1]:36815 is another than the one that is known here"),
    ("rsync", 255, CHANGED_KEY + "\n" + CUT, OperatorError, ErrorCode.HOST_KEY,
     "the host key of [127.0.0.1]:36815 is another than the one that is known here"),
    ("ssh", 255, UNKNOWN_KEY, OperatorError, ErrorCode.HOST_KEY,
     "no host key of [127.0.0.1]:36815 is known here"),
    ("ssh", 255, "ssh: Could not resolve hostname far.invalid: Name or service not known",
     OperatorError, ErrorCode.NO_NAME,
     "no machine has the name far.invalid: Name or service not known"),
    ("ssh", 255, "ssh: Could not resolve hostname far: Temporary failure in name resolution",
     RetryableError, ErrorCode.NO_NAME,
     "the name far cannot be looked up: Temporary failure in name resolution"),
    ("ssh", 255, "ssh: connect to host 127.0.0.1 port 36815: Connection refused",
     RetryableError, ErrorCode.UNREACHABLE,
     "127.0.0.1, port 36815, cannot be reached: Connection refused"),
    ("rsync", 12, "ssh: connect to host far port 22: No route to host\n" + CUT,
     RetryableError, ErrorCode.UNREACHABLE,
     "far, port 22, cannot be reached: No route to host"),
    ("ssh", 255, "Timeout, server 127.0.0.1 not responding.",
     RetryableError, ErrorCode.UNREACHABLE,
     "the connection broke: Timeout, server 127.0.0.1 not responding"),
    ("ssh", 255, "", RetryableError, ErrorCode.UNREACHABLE,
     "the connection broke: it said nothing"),
    ("ssh", 255, "root@127.0.0.1: Permission denied (publickey).",
     OperatorError, ErrorCode.LOGIN, "root@127.0.0.1 is not let in (publickey)"),
    ("ssh", 255, "Received disconnect from ::1 port 22:2: Too many authentication failures",
     OperatorError, ErrorCode.LOGIN, "the login is refused"),
    ("ssh", 255, "command-line: line 0: Bad configuration option: nope",
     OperatorError, None, "command-line: line 0: Bad configuration option: nope"),
    ("prepare", 1, "/mnt/nope: No such file or directory",
     OperatorError, ErrorCode.NO_FOLDER,
     "there is no such folder there: /mnt/nope: No such file or directory"),
    ("prepare", 1, "/mnt/file: Not a directory", OperatorError, ErrorCode.IN_THE_WAY,
     "something else lies in its place there: /mnt/file: Not a directory"),
    ("prepare", 1, "mkdir: cannot create directory '/mnt/dest/.incoming': Not a directory",
     OperatorError, ErrorCode.IN_THE_WAY,
     "something else lies in its place there: /mnt/dest/.incoming: Not a directory"),
    ("prepare", 1, "/mnt/.incoming is a symbolic link, and vampd follows none there",
     OperatorError, ErrorCode.IN_THE_WAY,
     "something else lies in its place there: /mnt/.incoming is a symbolic link"),
    ("prepare", 1, "mkdir: cannot create directory '/mnt/.incoming': Permission denied",
     OperatorError, ErrorCode.NO_RIGHTS,
     "the account may not do that there: /mnt/.incoming: Permission denied"),
    ("prepare", 1, "mkdir: cannot create directory '/mnt/.incoming': Read-only file system",
     OperatorError, ErrorCode.NO_RIGHTS,
     "the account may not do that there: /mnt/.incoming: Read-only file system"),
    ("prepare", 1, "mkdir: cannot create directory '/mnt/.incoming': No space left on device",
     RetryableError, ErrorCode.FAR_FULL,
     "the disk there is full: /mnt/.incoming: No space left on device"),
    ("prepare", 1, "vampd-remote: /mnt/nope: No such file or directory",
     OperatorError, ErrorCode.NO_FOLDER,
     "there is no such folder there: /mnt/nope: No such file or directory"),
    ("prepare", 1, "vampd-remote: .incoming: Too many levels of symbolic links",
     OperatorError, ErrorCode.IN_THE_WAY,
     ("something else lies in its place there: vampd-remote: .incoming:"
     " Too many levels of symbolic links")),
    ("prepare", 77, "vampd-remote: refused: '/mnt' does not lie below /data",
     OperatorError, ErrorCode.NO_RIGHTS,
     "its key may not do that there: '/mnt' does not lie below /data"),
    ("rsync", 12, "vampd-remote: refused: '/mnt' does not lie below /data\n" + CUT,
     OperatorError, ErrorCode.NO_RIGHTS,
     "its key may not do that there: '/mnt' does not lie below /data"),
    ("rsync", 12, "vampd-remote: /mnt/nope: No such file or directory\n" + CUT,
     OperatorError, ErrorCode.NO_FOLDER,
     "there is no such folder there: /mnt/nope: No such file or directory"),
    ("prepare", 127, "bash: line 1: vampd-remote: command not found",
     OperatorError, ErrorCode.NO_PROGRAM,
     "a program is missing there: bash: line 1: vampd-remote: command not found"),
    ("publish", 127, "env: 'xargs': No such file or directory",
     OperatorError, ErrorCode.NO_PROGRAM,
     "a program is missing there: env: 'xargs': No such file or directory"),
    ("rsync", 127, "bash: line 1: /nope/rsync: No such file or directory\n" + CUT,
     OperatorError, ErrorCode.NO_PROGRAM,
     "a program is missing there: bash: line 1: /nope/rsync: No such file or directory"),
    ("rsync", 11, NO_SPACE, RetryableError, ErrorCode.FAR_FULL,
     "the disk there is full: /mnt/x"),
    ("rsync", 11, "", RetryableError, ErrorCode.FAR_FULL,
     "it said nothing; a full disk over there is likeliest"),
    ("rsync", 11, MISSING, OperatorError, ErrorCode.NO_FOLDER,
     "there is no such folder there: /nope/20251106"),
    ("rsync", 3, IN_THE_WAY, OperatorError, ErrorCode.IN_THE_WAY,
     "something else lies in its place there: /mnt/20251106/"),
    ("rsync", 23, "could not make way for new regular file: a\nrsync error: some files/attrs",
     OperatorError, ErrorCode.IN_THE_WAY, "something else lies in its place there: a"),
    ("rsync", 23, FORBIDDEN, OperatorError, ErrorCode.NO_RIGHTS,
     "the account may not do that there: /mnt/20251106/vgen2"),
    ("rsync", 23, READ_ONLY, OperatorError, ErrorCode.NO_RIGHTS,
     "the account may not do that there: /mnt/.x.abc"),
    ("rsync", 23, SOURCE_FORBIDDEN, OperatorError, ErrorCode.RIGHTS_HERE,
     "vampd may not read /data/x here"),
    ("rsync", 23, SOURCE_GONE, IntegrityError, None, SOURCE_GONE.splitlines()[0]),
    ("publish", 137, "", RetryableError, None, "it was ended by a signal"),
    ("sha256sum", 125, "xargs: sh: terminated by signal 9", RetryableError, None,
     "it was ended by a signal"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "status", "stderr", "error", "code", "line"), CASES)
def test_a_failure_has_its_class_its_code_and_one_line(
    program: str,
    status: int,
    stderr: str,
    error: type[VampdError],
    code: ErrorCode | None,
    line: str,
) -> None:
    failure = understood(program, status, stderr)

    assert (failure.error, failure.code, failure.line) == (error, code, line)


def test_every_code_of_the_other_machine_is_recognised() -> None:
    of_this_machine = {ErrorCode.FAR_DISK, ErrorCode.NOT_PLAIN, ErrorCode.FULL_HERE}

    assert {code for *_, code, _ in CASES if code} == set(ErrorCode) - of_this_machine


@given(
    st.sampled_from(["rsync", "ssh"]),
    st.integers(-15, 255).filter(bool),
    st.lists(st.sampled_from([stderr for _, _, stderr, *_ in CASES]) | st.text(max_size=40)),
)
def test_whatever_is_said_one_line_comes_of_it(program: str, code: int, words: list[str]) -> None:
    failure = understood(program, code, "\n".join(words))

    assert failure.line
    assert len(failure.line.splitlines()) == 1
    assert issubclass(failure.error, VampdError)


def test_the_words_are_kept_whole_below_the_line_and_cut_between_lines() -> None:
    words = "\n".join(f"file {number} could not be read" for number in range(1000))

    error = understood("ssh", 1, words).told("publish exited 1", words)

    first, *kept = str(error).splitlines()
    assert first == "publish exited 1: file 0 could not be read"
    assert kept == words.splitlines()[-len(kept) :]
    assert len(kept) > 100
