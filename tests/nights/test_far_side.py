"""A whole night through a key that may do nothing but receive, digest and publish."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon_site import DATE, DaemonSite, Settings, add_night, make_site, products
from tests.support.far_side import HELPER, flip_one_byte
from tests.support.sshd import running_sshd
from tests.support.trees import digests_of_tree


def through_the_helper(site: DaemonSite) -> None:
    """Let the site's settings name the helper."""
    text = site.config.read_text()
    text = text.replace("[delivery.archive]\n", '[delivery.archive]\nfar_helper = "vampd-remote"\n')
    site.config.write_text(text)


def test_a_night_goes_through_the_restricted_key_and_a_rotten_copy_is_mended(
    tmp_path: Path,
) -> None:
    with running_sshd(tmp_path / "sshd") as sshd:
        settings = Settings(host=f"{sshd.host}:", ssh_options=sshd.options)
        site = make_site(tmp_path / "site", settings)
        through_the_helper(site)
        sshd.force(f"{HELPER} {tmp_path}/site/far")
        assert "has its programs, vampd-remote answers" in site.call("admin", "doctor").stdout
        add_night(site, "small")

        site.run()

        sent = products(site)
        assert site.status() == "safe"
        far = digests_of_tree(site.far())
        assert {path: far[path] for path in far if path.startswith("vgen2/")} == {
            f"vgen2/{path}": digest for path, digest in sent.items() if not path.endswith(".csv")
        }
        rotten = next(site.far().glob("vgen2/*.fits.fz"))
        flip_one_byte(rotten)
        assert site.call("data", "verify", DATE, "--kind", "archive").returncode == 1
        assert site.status() == "safe"
        assert site.call("data", "verify", DATE, "--kind", "archive", "--record").returncode == 0

        site.run()

        assert site.status() == "safe"
        assert digests_of_tree(site.far()) == far
        (night,) = site.json("show", DATE, "--kind", "archive")["nights"]
        assert [each["name"].split(".sha256-")[0] for each in night["set_aside"]] == [
            f"vgen2/{rotten.name}"
        ]
        assert not list((site.far().parent / ".incoming").glob("*"))
