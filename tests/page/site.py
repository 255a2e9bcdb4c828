"""A served page beside a small observatory, for tests."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from tests.support.daemon_site import DATE, DaemonSite
from tests.support.waiting import wait_until


class Answer(Struct, frozen=True, kw_only=True):
    """One answer of the page's server."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Page(Struct, frozen=True, kw_only=True):
    """A page that is served, and the site that it shows."""

    site: DaemonSite
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        content = answer.read()
        connection.close()
        return Answer(status=answer.status, headers=found, content=content)


@contextmanager
def serving(site: DaemonSite) -> Iterator[Page]:
    """The page of *site*, served by the real command until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        site.words("admin", "page", "--listen", f"127.0.0.1:{port}"), stderr=subprocess.PIPE
    )
    try:
        wait_until(
            lambda: server.poll() is not None or _listens(port),
            lambda: "the page's server does not listen",
        )
        assert server.poll() is None, "the page's server ended"
        yield Page(site=site, port=port)
    finally:
        server.terminate()
        server.communicate(timeout=30)


@contextmanager
def held(page: Page, why: str) -> Iterator[None]:
    """With the site's night held, which is released at the end for the tests that follow."""
    asked = page.site.call("hold", DATE, "--why", why)
    assert asked.returncode == 0, asked.stderr
    try:
        yield
    finally:
        released = page.site.call("release", DATE)
    assert released.returncode == 0, released.stderr


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
