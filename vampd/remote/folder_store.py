"""A folder that receives nights: on this machine, or on another one, by ssh.

Over there `vampd-remote` does the work where it is installed, else a login shell and coreutils do;
here they do it without ssh. `vampd.remote.commands` has the words of both.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from vampd.errors import OperatorError, RetryableError
from vampd.io.beneath import lent, night_folder, opened_folder
from vampd.io.clock import SystemClock
from vampd.io.listed_files import ListedFile
from vampd.io.process import Finished, run
from vampd.remote import commands, destination_marker, rsync
from vampd.remote.answers import FarDisk, FileDigest
from vampd.remote.bandwidth import limit_at
from vampd.remote.digests import digest_command, parse_digests
from vampd.remote.failures import check_done, understood
from vampd.remote.location import Location
from vampd.remote.store import BATCH_FILES, FarJob, batches
from vampd.states import ErrorCode

# sha256sum reads at 500 MB/s and more; a far disk that does 10 is taken as stuck. Deadlines must be
# longer than any honest transfer: a poor link was taken as 1 MB/s.
_SLOWEST_BYTES_PER_SECOND = 10_000_000
_SLOW_LINK_BYTES_PER_SECOND = 1_000_000
_LEAST_SECONDS = 300
_LEAST_SENDING_SECONDS = 600
_LOOK_SECONDS = 60
_MOST_NUMBERS_BYTES = 1 << 28

# 500 files, each of which may be complained of in a line with its whole path.
_STDERR_BYTES = 4 << 20

_REFUSED = frozenset({"Permission denied", "Operation not permitted"})


class FolderStore(Struct, frozen=True, kw_only=True):
    """The folder *place*, for the work of *job*: a `vampd.remote.store.Store`."""

    place: Location
    job: FarJob

    def digests(self, files: Sequence[ListedFile], *, below: str = "") -> dict[str, FileDigest]:
        """See `Store`: batch by batch, the marker of the disk with each."""
        folder = self.place.child(below) if below else self.place
        answers: dict[str, FileDigest] = {}
        for batch in batches(files):
            answers |= self._digests_of_batch(folder, batch)
        return answers

    def arrived(self, date: str, files: Sequence[ListedFile]) -> dict[str, FileDigest]:
        """See `Store`."""
        return self.digests(files, below=f"{commands.INCOMING}/{date}")

    def fetch(self, file: ListedFile, descriptor: int, *, below: str = "") -> None:
        """See `Store`. `vampd-remote` reads nothing out: a stolen key must not either."""
        folder = self.place.child(below) if below else self.place
        if self.job.reach.has_helper(self.place):
            msg = f"{folder}: its key may send and not fetch; bring {file.path} here by hand"
            raise OperatorError(msg).coded(ErrorCode.NO_RIGHTS)
        command = commands.read_command(folder.child(file.path), file.size_bytes, self.job.reach)
        # The shell opens the file anew: `>&` takes no descriptor above 9.
        finished = run(
            ["sh", "-c", f'exec "$@" > {lent(descriptor)}', "sh", *command],
            deadline_seconds=self.job.deadline_seconds or self._sending_seconds([file]),
            lend=[descriptor],
        )
        check_done(finished, f"fetching {file.path} of {self.job.night} from {folder}")

    def receive(
        self, date: str, folder: Path, files: Sequence[ListedFile], *, afresh: bool
    ) -> list[str]:
        """See `Store`: one run of rsync for each folder, which is made anew if it is not there.

        rsync is lent the folder itself, and names that lead nowhere from there: no link that takes
        a folder's place meanwhile makes it read anything else.
        """
        incoming = commands.incoming(self.place, date)
        made = self._ask(commands.prepare_command(self.place, date, self.job.reach))
        check_done(made, f"making {incoming} for {self.job.night}")
        sent: list[str] = []
        by_folder: dict[str, list[ListedFile]] = {}
        for file in files:
            by_folder.setdefault(file.path.rpartition("/")[0], []).append(file)
        night = night_folder(folder)
        for name, some in by_folder.items():
            target = incoming.child(name) if name else incoming
            with opened_folder(night / name if name else night) as descriptor:
                names = self._send_folder(descriptor, target, some, afresh=afresh)
            sent += [f"{name}/{each}" if name else each for each in names]
        return sent

    def publish(self, date: str, tags: Mapping[str, str]) -> dict[str, str]:
        """See `Store`, and `commands.publish_command`."""
        answers: dict[str, str] = {}
        paths = list(tags)
        for first in range(0, len(paths), BATCH_FILES):
            some = {path: tags[path] for path in paths[first : first + BATCH_FILES]}
            command = commands.publish_command(self.place, date, self.job.reach)
            finished = self._ask(command, commands.publish_list(some))
            try:
                answers |= commands.parse_published(finished, some)
            except (OperatorError, RetryableError) as error:
                msg = f"publishing {self.job.night} at {self.place}"
                raise error.about(msg) from error
        return answers

    def evidence(self, date: str) -> list[str]:
        """See `Store`."""
        command = commands.evidence_command(self.place, date, self.job.reach)
        return commands.parse_evidence(self._ask(command))

    def thin(self, keep: int) -> None:
        """See `Store`."""
        finished = self._ask(commands.thin_command(self.place, max(keep, 2), self.job.reach))
        commands.check_known(finished, self.place)
        check_done(finished, f"removing old copies of the ledger at {self.place}")

    def disk(self) -> FarDisk:
        """See `Store`, and `commands.parse_marker` for errors."""
        return self._disk(commands.marker_command(self.place, self.job.reach))

    def claim(self) -> FarDisk:
        """See `Store`."""
        identifier = str(uuid.uuid4())
        found = self._disk(commands.claim_command(self.place, identifier, self.job.reach))
        if found.marker is None:
            msg = f"far disk {self.place}: its marker {destination_marker.MARKER} was not written"
            raise OperatorError(msg)
        return found

    def complaints(self) -> list[str]:
        """See `Store`: a folder, its rights, the programs that are needed there."""
        finished = self._ask(
            commands.check_command(self.place, self.job.reach), deadline_seconds=_LOOK_SECONDS
        )
        if finished.code != 0:
            failure = understood("check", finished.code, finished.stderr_tail)
            raise failure.told(str(self.place), finished.stderr_tail)
        return finished.stdout.decode(errors="replace").splitlines()

    def numbers(self, after: str) -> dict[str, list[int]]:
        """See `Store`; the place is what stands before the date."""
        finished = run(
            commands.numbers_command(self.place, after, self.job.reach),
            deadline_seconds=_LOOK_SECONDS,
            stdout_limit_bytes=_MOST_NUMBERS_BYTES,
        )
        return commands.parse_numbers(finished)

    def by_hand(self) -> str:
        """See `Store`."""
        if self.place.host is None:
            return f"ls -ld {shlex.quote(self.place.path)}"
        return shlex.join(["ssh", *self.job.reach.ssh_options, self.place.host])

    def kind(self) -> str:
        """See `Store`."""
        if self.place.host is None:
            return "a folder here"
        return f"{self.job.reach.helper} answers" if self.job.reach.helper else "by ssh"

    def _digests_of_batch(
        self, folder: Location, files: Sequence[ListedFile]
    ) -> dict[str, FileDigest]:
        names = {file.path: folder.child(file.path).path for file in files}
        guards = list(destination_marker.guards(self.job.disks, folder))
        asked = [*names.values(), *(guard.name for guard in guards)]
        size_bytes = sum(file.size_bytes for file in files)
        try:
            finished = run(
                digest_command(folder, self.job.reach),
                stdin=b"".join(name.encode() + b"\0" for name in asked),
                deadline_seconds=_LEAST_SECONDS + size_bytes / _SLOWEST_BYTES_PER_SECOND,
                stderr_limit_bytes=_STDERR_BYTES,
            )
            answers = parse_digests(finished, frozenset(asked))
            for guard in guards:
                guard.check(answers)
        except (OperatorError, RetryableError) as error:
            msg = f"verifying {self.job.night} at {folder}"
            raise error.about(msg) from error
        refused = [name for name in names.values() if answers[name].why in _REFUSED]
        if refused:
            why, count = answers[refused[0]].why, len(refused)
            msg = f"{self.job.night}: {why} for {count} files at {folder}, {refused[0]} first"
            raise OperatorError(msg).coded(ErrorCode.NO_RIGHTS)
        return {path: answers[name] for path, name in names.items()}

    def _send_folder(
        self, folder: int, target: Location, files: Sequence[ListedFile], *, afresh: bool
    ) -> list[str]:
        """Send *files*, which lie in the open *folder*; the names that rsync says it sent."""
        names = {file.path.rpartition("/")[2] for file in files}
        sent: list[str] = []

        def note(line: bytes) -> None:
            name = line.decode(errors="replace")
            if name in names:
                sent.append(name)

        finished = run(
            rsync.rsync_command(
                Path(lent(folder)),
                target,
                ssh_options=self.job.reach.ssh_options,
                connect_timeout_seconds=self.job.reach.connect_timeout_seconds,
                compare_contents=afresh,
                bandwidth_kib=self._bandwidth_kib(),
                hide_words=not self.job.reach.has_helper(target),
            ),
            stdin=rsync.file_list(sorted(names)),
            on_line=note,
            deadline_seconds=self.job.deadline_seconds or self._sending_seconds(files),
            idle_seconds=_idle_seconds(files, afresh=afresh),
            lend=[folder],
        )
        check_done(finished, f"rsync of {self.job.night}", "rsync")
        return sent

    def _bandwidth_kib(self) -> int:
        """What may be sent a second now; it holds for one run of rsync, which sends one batch."""
        windows = self.job.bandwidth_by_time
        return limit_at(windows, self.job.bandwidth_kib, SystemClock().now_us())

    def _sending_seconds(self, files: Collection[ListedFile]) -> float:
        slowest = _SLOW_LINK_BYTES_PER_SECOND
        limit_kib = self._bandwidth_kib()
        if limit_kib:
            slowest = min(slowest, limit_kib * 1024 // 2)
        return _LEAST_SENDING_SECONDS + sum(file.size_bytes for file in files) / slowest

    def _disk(self, command: Sequence[str]) -> FarDisk:
        try:
            return commands.parse_marker(run(command, deadline_seconds=_LOOK_SECONDS), self.place)
        except (OperatorError, RetryableError) as error:
            msg = f"{self.job.night} at {self.place}"
            raise error.about(msg) from error

    def _ask(
        self,
        command: Sequence[str],
        stdin: bytes = b"",
        *,
        deadline_seconds: float = _LEAST_SECONDS,
    ) -> Finished:
        try:
            return run(
                command,
                stdin=stdin,
                deadline_seconds=deadline_seconds,
                stderr_limit_bytes=_STDERR_BYTES,
            )
        except (OperatorError, RetryableError) as error:
            msg = f"{self.job.night} at {self.place}"
            raise error.about(msg) from error


def _idle_seconds(files: Collection[ListedFile], *, afresh: bool) -> float:
    """How long an honest rsync may be silent.

    It reports every second while it sends, and nothing while a side reads a file that
    lies there already: one at a time, or all of them when contents are compared.
    """
    sizes = [file.size_bytes for file in files]
    silent_bytes = sum(sizes) if afresh else max(sizes)
    return _LEAST_SENDING_SECONDS + silent_bytes / _SLOWEST_BYTES_PER_SECOND
