# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artifact server serves, and how."""

import hashlib
import json
import subprocess
import tarfile
import urllib.error
import urllib.request

import pytest
import yaml
from labkit import artifacts, releases
from labkit.podman import LabError


def test_checksum_lines_are_those_of_sha256sum(tmp_path):
    for name in ("k3s", "a b"):
        (tmp_path / name).write_bytes(name.encode())
    text = releases.checksum_lines({name: tmp_path / name for name in ("k3s", "a b")})
    assert [line.split("  ", 1)[1] for line in text.splitlines()] == ["a b", "k3s"]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "-"], input=text.encode(), cwd=tmp_path, check=True)


def test_a_chart_repository_names_archive_and_digest(tmp_path):
    chart = tmp_path / "clearml"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: clearml\nversion: 7.14.7\n")
    (chart / "templates" / "a.yaml").write_text("x: 1\n")
    releases.charts(tmp_path / "one", chart)
    releases.charts(tmp_path / "two", chart)
    (entry,) = yaml.safe_load((tmp_path / "one" / "index.yaml").read_text())["entries"]["clearml"]
    archive = tmp_path / "one" / "clearml-7.14.7.tgz"
    assert entry["urls"] == [archive.name]
    assert entry["digest"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert archive.read_bytes() == (tmp_path / "two" / archive.name).read_bytes()
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["clearml/Chart.yaml", "clearml/templates/a.yaml"]


def test_a_folder_without_a_chart_is_refused(tmp_path):
    with pytest.raises(LabError, match="no chart in"):
        releases.charts(tmp_path / "out", tmp_path)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "www" / "k3s" / "releases" / "download" / "v1.34.1+k3s1"
    folder.mkdir(parents=True)
    (folder / "k3s").write_bytes(b"binary")
    (folder / "sha256sum-amd64.txt").write_text("sum  k3s\n")
    other = tmp_path / "www" / "minio"
    other.mkdir()
    (other / "minio.linux-amd64.RELEASE.1").write_bytes(b"binary")
    (other / "minio.linux-amd64.RELEASE.1.sha256sum").write_text("sum  minio\n")
    running = artifacts.start(tmp_path, "127.0.0.1", 0)
    yield running | {"folder": tmp_path}
    artifacts.stop(running)


def get(server, path):
    with urllib.request.urlopen(artifacts.url(server) + path) as answer:
        return answer.read()


BASE = "/k3s/releases/download/v1.34.1%2Bk3s1"


def test_files_are_served_below_an_encoded_version_and_logged(server):
    assert get(server, f"{BASE}/k3s") == b"binary"
    (line,) = (server["folder"] / "access.log").read_text().splitlines()
    assert {key: json.loads(line)[key] for key in ("client", "method", "path", "status")} == {
        "client": "127.0.0.1",
        "method": "GET",
        "path": f"{BASE}/k3s",
        "status": 200,
    }


def test_below_the_tampered_path_only_the_binaries_are_others(server):
    assert get(server, f"/tampered{BASE}/sha256sum-amd64.txt") == b"sum  k3s\n"
    assert get(server, "/tampered/minio/minio.linux-amd64.RELEASE.1.sha256sum") == b"sum  minio\n"
    for path in (f"/tampered{BASE}/k3s", "/tampered/minio/minio.linux-amd64.RELEASE.1"):
        tampered = get(server, path)
        assert (len(tampered), tampered[:-1]) == (6, b"binar")
        assert tampered != b"binary"


@pytest.mark.parametrize("path", ["/", "/k3s/", "/no-such", "/tampered/k3s", "/../artifacts.log", "/%2e%2e/artifacts.log"])
def test_nothing_is_listed_and_nothing_outside_is_served(server, path):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(server, path)
    assert error.value.code == 404


def test_a_server_is_known_by_its_start_time_and_keeps_its_port(server):
    assert artifacts.alive(server)
    assert not artifacts.alive(server | {"started": server["started"] + 1})
    assert not artifacts.alive(None)
    artifacts.stop(server | {"started": 0})
    assert artifacts.alive(server)
    artifacts.stop(server)
    assert not artifacts.alive(server)
    again = artifacts.start(server["folder"], "127.0.0.1", server["port"])
    try:
        assert again["port"] == server["port"]
    finally:
        artifacts.stop(again)
