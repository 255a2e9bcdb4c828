"""The page tells what the commands tell, only reads, and lets nobody's text run."""

from __future__ import annotations

import html
import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.page.conftest import HOSTILE, HOSTILE_DATE
from tests.page.site import Page, serving
from tests.support.daemon_site import DATE
from tests.support.ledger_site import Site
from vampd.commands.page.views import Views
from vampd.settings.load import load
from vampd.states import Kind, Stage

_PAGES = ["/", f"/night/archive/{DATE}", f"/night/archive/{HOSTILE_DATE}"]


def test_the_grid_has_every_night_and_its_status(page: Page) -> None:
    text = page.get("/").text

    for date in (DATE, HOSTILE_DATE):
        assert f'<a href="/night/archive/{date}">{date}</a>' in text
    assert text.count('class="state safe"') == 2


def test_a_night_has_its_stages_files_quality_and_log(page: Page) -> None:
    text = page.get(f"/night/archive/{DATE}").text

    [shown] = page.site.json("show", DATE)["nights"]
    for frame_id in shown["frame_ids"]:
        assert f"<td>{frame_id}</td>" in text
    for bad in shown["quarantine"]:
        assert bad["path"] in text
    assert "frames that could have a partner" in text
    assert "ready -&gt; running" in text


def test_the_interface_for_programs_says_what_the_command_says(page: Page) -> None:
    answer, said = page.get("/api/v1/status").json(), page.site.json("status", "--all")

    moving = {"now", "disks", "roots", "running"}
    assert answer["schema"] == 1
    assert {name: answer[name] for name in answer if name not in moving} == {
        name: said[name] for name in said if name not in moving
    }


def test_metrics_are_those_of_the_command(page: Page) -> None:
    answer = page.get("/metrics")

    families = {line for line in answer.text.splitlines() if line.startswith("# HELP")}
    said = page.site.call("admin", "metrics").stdout.splitlines()
    assert answer.headers["content-type"].startswith("text/plain")
    assert families == {line for line in said if line.startswith("# HELP")}


def test_health_depends_on_when_the_daemon_was_heard(page: Page) -> None:
    text = page.site.config.read_text()
    page.site.config.write_text(text + "\n[page]\nsilent_seconds = 3\n")
    try:
        with serving(page.site) as impatient:
            silent = _health_until(impatient, 503)
            with page.site.running():
                heard = _health_until(impatient, 200)
    finally:
        page.site.config.write_text(text)

    assert "last heard" in silent
    assert "last heard" in heard


def _health_until(page: Page, status: int) -> str:
    deadline = time.monotonic() + 60
    answer = page.get("/healthz")
    while answer.status != status:
        assert time.monotonic() < deadline, f"/healthz goes on saying: {answer.text}"
        time.sleep(0.05)
        answer = page.get("/healthz")
    return answer.text


@pytest.mark.parametrize("path", [*_PAGES, "/api/v1/status", "/metrics", "/nothing"])
def test_every_answer_forbids_what_is_not_ours(page: Page, path: str) -> None:
    headers = page.get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", _PAGES)
def test_pages_ask_nothing_of_other_hosts_and_hold_no_script_of_their_own(
    page: Page, path: str
) -> None:
    text = page.get(path).text

    assert "http" not in text.replace("http-equiv", "")
    assert "<script>" not in text
    assert "<style" not in text
    assert " style=" not in text


def test_a_header_s_text_stays_text(page: Page) -> None:
    text = page.get(f"/night/archive/{HOSTILE_DATE}").text

    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(page: Page, method: str) -> None:
    assert page.get(f"/night/archive/{DATE}", method=method).status == 405


def test_a_foreign_name_is_refused(page: Page) -> None:
    assert page.get("/", Host="evil.example").status == 400


def test_what_needs_somebody_stands_first_and_old_nights_are_folded(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for day in range(1, 29):
        night = site.night(f"202510{day:02}", "failed" if day == 2 else "safe")
        site.stages(night, Kind.ARCHIVE, Stage.TRANSFER if day == 2 else None)

    text = Views(load(site.config)).nights(fragment=True)

    status = site.answer("status", "--all")
    places = [text.index(html.escape(matter["next"])) for matter in status["matters"]]
    assert places == sorted(places)
    assert places[-1] < text.index("archive nights")
    folded = text.partition("<details>")[2]
    assert "13 older nights at rest: 20251001 to 20251014" in folded
    assert "20251002" not in folded


@pytest.mark.parametrize(
    "path",
    [
        "/night/archive/19990101",
        "/night/nonsense/20251106",
        "/assets/../views.py",
        "/assets/%2e%2e/views.py",
        f"/night/archive/{DATE}/nonsense.png",
    ],
)
def test_what_is_not_there_is_not_found(page: Page, path: str) -> None:
    assert page.get(path).status == 404


def test_plots_are_pictures(page: Page) -> None:
    light, dark = (page.get(f"/night/archive/{DATE}/offset{end}.png") for end in ("", ".dark"))

    for answer in (light, dark):
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
    assert light.content != dark.content


def test_a_browser_is_told_when_the_daemon_was_heard(page: Page) -> None:
    with urllib.request.urlopen(f"{page.address}/events", timeout=30) as stream:
        line = stream.readline().decode()

    pulse = json.loads(line.removeprefix("data: "))
    assert pulse["now_us"] > pulse["heard_us"]


def test_the_page_does_not_start_where_somebody_else_listens(page: Page) -> None:
    refused = subprocess.run(
        page.site.words("admin", "page", "--listen", f"127.0.0.1:{page.port}"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert refused.returncode == 1
    assert str(page.port) in refused.stderr


def test_a_report_needs_no_other_file(page: Page) -> None:
    target = page.site.folder / "night.html"

    done = page.site.call("data", "report", DATE, "--to", str(target))

    assert done.returncode == 0, done.stderr
    text = target.read_text()
    assert len(re.findall(r'class="for-(?:light|dark)" src="data:image/png', text)) == 6
    assert text.count('alt="camera ') > 10
    for frame_id in page.site.json("show", DATE)["nights"][0]["frame_ids"]:
        assert f"<td>{frame_id}</td>" in text
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert 'src="/' not in text
    assert "href=" not in text
