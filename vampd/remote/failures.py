"""What the words of ssh, rsync and the programs of the other machine mean, in this one place.

`understood` takes a program's exit status and its last words, and tells who must act, what is wrong
as a code, and one line of it for people. The words themselves are kept whole beside that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from vampd.errors import IntegrityError, OperatorError, RetryableError, VampdError
from vampd.io.process import Finished
from vampd.plain_text import last_lines
from vampd.states import ErrorCode

#: ssh's own failure; every other status is the remote program's.
SSH_FAILED = 255

_SHOWN = 4000  # characters of a program's last words that are kept


class Failure(Struct, frozen=True, kw_only=True):
    """Who must act, what is wrong where that is known, and one line of it."""

    error: type[VampdError]
    code: ErrorCode | None
    line: str

    def told(self, what: str, words: str) -> VampdError:
        """The error: a line that begins with *what*, then the program's own *words*, whole."""
        text = f"{what}: {self.line}\n{last_lines(words, _SHOWN)}".rstrip()
        return self.error(text).coded(self.code)


class _Words(Struct, frozen=True, kw_only=True):
    """A pattern in a program's words, and what it means; *line* takes the pattern's groups."""

    pattern: re.Pattern[str]
    code: ErrorCode | None
    line: str
    error: type[VampdError] = OperatorError


def _words(
    pattern: str, code: ErrorCode | None, line: str, error: type[VampdError] = OperatorError
) -> _Words:
    return _Words(pattern=re.compile(pattern, re.MULTILINE), code=code, line=line, error=error)


# "Name or service not known" is the resolver's word that there is no such name: a typing
# error far more often than a fault that heals. A resolver that is down says "Temporary failure
# in name resolution", and that passes by itself.
_OF_SSH = (
    _words(
        r"^Host key for (?P<host>\S+) has changed",
        ErrorCode.HOST_KEY,
        "the host key of {host} is another than the one that is known here",
    ),
    _words(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        ErrorCode.HOST_KEY,
        "its host key is another than the one that is known here",
    ),
    _words(
        r"No .* ?host key is known for (?P<host>\S+)",
        ErrorCode.HOST_KEY,
        "no host key of {host} is known here",
    ),
    _words("Host key verification failed", ErrorCode.HOST_KEY, "its host key is not known here"),
    _words(
        r"Could not resolve hostname (?P<host>\S+): "
        r"(?P<why>Name or service not known|No address associated.*)",
        ErrorCode.NO_NAME,
        "no machine has the name {host}: {why}",
    ),
    _words(
        r"Could not resolve hostname (?P<host>\S+): (?P<why>.*)",
        ErrorCode.NO_NAME,
        "the name {host} cannot be looked up: {why}",
        RetryableError,
    ),
    _words(
        r"^(?P<who>\S+): Permission denied \((?P<ways>[^)]*)\)",
        ErrorCode.LOGIN,
        "{who} is not let in ({ways})",
    ),
    _words(
        r"Permission denied \(|Too many authentication failures|[Nn]o more authentication methods",
        ErrorCode.LOGIN,
        "the login is refused",
    ),
    _words(
        r"^(?P<all>.*(?:Unable to negotiate|Bad configuration option|bad configuration options"
        r"|Bad owner or permissions|command-line: line|[Uu]nknown option|illegal option"
        r"|Can't open user config file|administratively prohibited).*)$",
        None,
        "{all}",
    ),
    _words(
        r"connect to host (?P<host>\S+) port (?P<port>\d+): (?P<why>.+)$",
        ErrorCode.UNREACHABLE,
        "{host}, port {port}, cannot be reached: {why}",
        RetryableError,
    ),
    _words(
        r"^(?P<all>Timeout, server \S+ not responding(?=\.?$)|kex_exchange_identification: .*"
        r"|(?:ssh_exchange_identification|ssh_dispatch_run_fatal|client_loop): .*"
        r"|Connection (?:to \S+ )?(?:closed|reset|timed out).*|Received disconnect .*)\.?$",
        ErrorCode.UNREACHABLE,
        "the connection broke: {all}",
        RetryableError,
    ),
)

# A far shell without a program ends with 127, but its closed pipe may be noticed first (12).
_NO_PROGRAM = re.compile(
    r"^(?P<all>.*(?:[Cc]ommand not found|(?:rsync|vampd-remote): not found|[Uu]nknown command).*)$",
    re.MULTILINE,
)
_ABSENT_STATUS = frozenset({126, 127})
_REFUSED_STATUS = 77  # vampd-remote
#: xargs: one of its programs was killed.
_KILLED_STATUS = 125
_REFUSED = re.compile(r"^vampd-remote: refused: (?P<why>.*)$", re.MULTILINE)
_LINK = re.compile(r"^(?P<path>/.*) is a symbolic link, and vampd follows none", re.MULTILINE)

_FULL, _RIGHTS = "the disk there is full: {path}", "the account may not do that there: {path}"
_GONE = "there is no such folder there: {path}"
_IN_THE_WAY = "something else lies in its place there: {path}"

#: The system's words for an error, its number, what it means, and the line.
_SYSTEM = (
    ("No space left on device", 28, ErrorCode.FAR_FULL, _FULL),
    ("Disk quota exceeded", 122, ErrorCode.FAR_FULL, _FULL),
    ("No such file or directory", 2, ErrorCode.NO_FOLDER, _GONE),
    ("Permission denied", 13, ErrorCode.NO_RIGHTS, _RIGHTS),
    ("Operation not permitted", 1, ErrorCode.NO_RIGHTS, _RIGHTS),
    ("Read-only file system", 30, ErrorCode.NO_RIGHTS, _RIGHTS),
    ("Not a directory", 20, ErrorCode.IN_THE_WAY, _IN_THE_WAY),
    ("File exists", 17, ErrorCode.IN_THE_WAY, _IN_THE_WAY),
    ("Is a directory", 21, ErrorCode.IN_THE_WAY, _IN_THE_WAY),
    ("Directory not empty", 39, ErrorCode.IN_THE_WAY, _IN_THE_WAY),
    ("Too many levels of symbolic links", 40, ErrorCode.IN_THE_WAY, _IN_THE_WAY),
)
_OF_WORDS = {words: (code, line) for words, _, code, line in _SYSTEM}
_OF_NUMBER = {number: (code, line) for _, number, code, line in _SYSTEM}
_COMPLAINT = re.compile(
    rf"^(?P<path>.*?):? (?P<why>{'|'.join(_OF_WORDS)})(?: \(\d+\))?(?:: .*)?$", re.MULTILINE
)
_NAMED = re.compile(r"""["'](/[^"']*)["']|(/.*)""")

_ERRNO = re.compile(r"\((\d{1,3})\)(?:$|:)")
_FORBIDDEN = frozenset({1, 13})  # EPERM, EACCES
_BROKEN_CONNECTION = frozenset({32, 104, 110})  # EPIPE, ECONNRESET, ETIMEDOUT
_MADE_NO_WAY = re.compile(r"^could not make way for new .*: (?P<path>.*)$", re.MULTILINE)
_VANISHED = 24

# A file could not be written, mostly on a full disk. In one run of four over ssh the far
# side's words are lost on the way, and nothing but this status arrives; the next try will tell.
_FILE_ERROR = 11
#: rsync: the connection's sockets, its stream, nothing moved for --timeout, none in time.
_CONNECTION_CODES = frozenset({10, 12, 30, 35, SSH_FAILED})
#: And: it was told to end (SIGUSR1, SIGINT, SIGTERM, SIGHUP), and no memory.
_RETRYABLE_CODES = _CONNECTION_CODES | {19, 20, 22}


def understood(program: str, code: int, stderr: str) -> Failure:
    """What went wrong when *program* ended with *code* other than 0 and the last words *stderr*.

    *program* is "rsync", or any other name for what ran over there, by ssh or on this machine.

    A full far disk, a broken or silent connection, a program ended by a signal: RetryableError. A
    file that is gone or breaks off on this side: IntegrityError. Permissions, a missing folder, a
    read-only or failing far disk, a wrong host key, no program over there, and all else:
    OperatorError.
    """
    found = _of_rsync(code, stderr) if program == "rsync" else _of_command(code, stderr)
    line = " ".join(found.line.split())
    return Failure(error=found.error, code=found.code, line=line)


def check_done(finished: Finished, what: str, program: str = "ssh") -> None:
    """Raise what *finished* says went wrong, if anything; *what* begins the message."""
    if finished.code != 0:
        failure = understood(program, finished.code, finished.stderr_tail)
        msg = f"{what} exited {finished.code}"
        raise failure.told(msg, finished.stderr_tail)


def _of_command(code: int, stderr: str) -> Failure:
    complaint = _of_complaints(stderr)
    if complaint is not None and complaint.code is ErrorCode.FAR_FULL:
        return complaint
    if code == SSH_FAILED:
        return _first(_OF_SSH, stderr) or _broken(stderr)
    if code < 0 or code >= 128 or code == _KILLED_STATUS:
        return Failure(error=RetryableError, code=None, line="it was ended by a signal")
    if code in _ABSENT_STATUS or _NO_PROGRAM.search(stderr):
        return _no_program(stderr)
    return _refused(code, stderr) or complaint or _unknown(stderr)


def _of_rsync(code: int, stderr: str) -> Failure:
    """By what rsync, ssh, or whoever took rsync's place over there said.

    rsync names its side in brackets, and puts the system's error number in parentheses;
    both are the same in every language. The exit status alone tells little: a failing
    mkdir over there is 11, 12 or 255, by which process notices first.
    """
    ours, theirs = _by_side(stderr)
    if theirs or (code == _FILE_ERROR and not stderr.strip()):
        return _of_their_side(theirs)
    if ours.keys() & _FORBIDDEN:
        path = next(ours[number] for number in ours if number in _FORBIDDEN)
        line = f"vampd may not read {_place(path)} here"
        return Failure(error=OperatorError, code=ErrorCode.RIGHTS_HERE, line=line)
    if code == _VANISHED or (ours and code not in _RETRYABLE_CODES):
        return Failure(error=IntegrityError, code=None, line=_first_line(stderr))
    if match := _MADE_NO_WAY.search(stderr):
        line = _IN_THE_WAY.format(path=match["path"])
        return Failure(error=OperatorError, code=ErrorCode.IN_THE_WAY, line=line)
    return _of_far_shell(code, stderr)


def _of_their_side(theirs: dict[int, str]) -> Failure:
    if not theirs:
        line = "it said nothing; a full disk over there is likeliest"
        return Failure(error=RetryableError, code=ErrorCode.FAR_FULL, line=line)
    if any(_OF_NUMBER.get(number, (None,))[0] is ErrorCode.FAR_FULL for number in theirs):
        return _numbered(theirs, RetryableError, ErrorCode.FAR_FULL)
    return _numbered(theirs, OperatorError)


def _of_far_shell(code: int, stderr: str) -> Failure:
    """Rsync over there did not begin, or the connection to it broke."""
    if found := _first(_OF_SSH, stderr) or _refused(code, stderr):
        return found
    if code in _ABSENT_STATUS or _NO_PROGRAM.search(stderr):
        return _no_program(stderr)
    helper = [line for line in stderr.splitlines() if line.startswith("vampd-remote: ")]
    if complaint := _of_complaints("\n".join(helper)):
        return complaint
    if code in _CONNECTION_CODES:
        return _broken(stderr)
    if code in _RETRYABLE_CODES or code < 0:
        return Failure(error=RetryableError, code=None, line=_first_line(stderr))
    return _unknown(stderr)


def _by_side(stderr: str) -> tuple[dict[int, str], dict[int, str]]:
    """By number: lines of system errors of the sending side, and of the receiving side."""
    ours: dict[int, str] = {}
    theirs: dict[int, str] = {}
    for line in stderr.splitlines():
        if not line.startswith(("rsync:", "file has vanished")) or "rsync error:" in line:
            continue
        side = ours if "[sender]" in line else theirs
        for number in _ERRNO.findall(line):
            if int(number) not in _BROKEN_CONNECTION:
                side.setdefault(int(number), line)
    return ours, theirs


def _numbered(
    lines: dict[int, str], error: type[VampdError], wanted: ErrorCode | None = None
) -> Failure:
    """Of the first of *lines* with a number that is known, or with the code *wanted*."""
    for number, line in lines.items():
        code, text = _OF_NUMBER.get(number, (None, "{path}"))
        if code is not None and wanted in {None, code}:
            return Failure(error=error, code=code, line=text.format(path=_place(line)))
    return Failure(error=error, code=None, line=next(iter(lines.values())))


def _of_complaints(stderr: str) -> Failure | None:
    """Of the first line `who: what: the system's words`; a full disk comes before all others."""
    found = list(_complaints(stderr))
    found.sort(key=lambda each: each.code is not ErrorCode.FAR_FULL)
    return found[0] if found else None


def _complaints(stderr: str) -> Iterator[Failure]:
    if match := _LINK.search(stderr):
        line = _IN_THE_WAY.format(path=f"{match['path']} is a symbolic link")
        yield Failure(error=OperatorError, code=ErrorCode.IN_THE_WAY, line=line)
    for match in _COMPLAINT.finditer(stderr):
        code, line = _OF_WORDS[match["why"]]
        error = RetryableError if code is ErrorCode.FAR_FULL else OperatorError
        path = f"{_place(match['path'])}: {match['why']}"
        yield Failure(error=error, code=code, line=line.format(path=path))


def _place(line: str) -> str:
    """The path that *line* names, as far as one can be told; else the line."""
    match = _NAMED.search(line)
    path = (match[1] or match[2]) if match else line
    system = next((words for words in _OF_WORDS if line.endswith(words)), None)
    return f"{path}: {system}" if system and not path.endswith(system) else path


def _refused(code: int, stderr: str) -> Failure | None:
    match = _REFUSED.search(stderr)
    if match is None and code != _REFUSED_STATUS:
        return None
    why = match["why"] if match else _first_line(stderr)
    line = f"its key may not do that there: {why}"
    return Failure(error=OperatorError, code=ErrorCode.NO_RIGHTS, line=line)


def _no_program(stderr: str) -> Failure:
    match = _NO_PROGRAM.search(stderr)
    line = f"a program is missing there: {match['all'] if match else _first_line(stderr)}"
    return Failure(error=OperatorError, code=ErrorCode.NO_PROGRAM, line=line)


def _broken(stderr: str) -> Failure:
    line = f"the connection broke: {_first_line(stderr)}"
    return Failure(error=RetryableError, code=ErrorCode.UNREACHABLE, line=line)


def _unknown(stderr: str) -> Failure:
    return Failure(error=OperatorError, code=None, line=_first_line(stderr))


def _first(table: Iterable[_Words], stderr: str) -> Failure | None:
    for words in table:
        if match := words.pattern.search(stderr):
            groups = {name: text or "the other machine" for name, text in match.groupdict().items()}
            line = words.line.format_map(groups)
            return Failure(error=words.error, code=words.code, line=line)
    return None


def _first_line(stderr: str) -> str:
    return next((line.strip() for line in stderr.splitlines() if line.strip()), "it said nothing")
