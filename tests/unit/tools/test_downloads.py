# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that does not exist: one request, and one line with the fix. The tasks of the roles run here, in folders of the test."""

import collections
import http.server
import pathlib
import re
import threading

import pytest

VERSION = "v9.9.9+k3s1"
NODE = {"architecture": "x86_64", "python": "3.11.2"}

# What Helm 3.19 says of a version that its repository does not list.
PULL = """#!/bin/sh
echo "$*" >> "$0.log"
echo 'Error: chart "clearml" version "9.9.9" not found in URL/chart repository' >&2
exit 1
"""


def role(name, tasks_from, **variables):
    """A task that includes a role's file with variables that outrank the role's own."""
    options = {"name": f"homelab.mlops.{name}", "tasks_from": tasks_from, "rolespec_validate": False}
    return {"ansible.builtin.include_role": options, "vars": variables}


def cases(folder: pathlib.Path, url: str) -> dict[str, dict]:
    """What is downloaded, each from a folder of the server by the name of a host."""
    archive = {"url": f"{url}/archive/images.tar"}
    k3s = {"k3s_version": VERSION, "__k3s_node": NODE, "__k3s_library": str(folder / "library"), "__k3s_image_folder": str(folder)}
    helm = {
        "__admin_tools_node": NODE,
        "homelab_admin_dir": str(folder / "admin"),
        "homelab_helm_binary": str(folder / "bin" / "helm"),
        "admin_tools_helm_version": "v9.9.9",
    }
    pull = folder / "pull"
    pull.write_text(PULL.replace("URL", url))
    pull.chmod(0o755)
    chart = {
        "homelab_helm_binary": str(pull),
        "__homelab_chart": {
            "name": "clearml",
            "version": "9.9.9",
            "repository_url": f"{url}/chart",
            "path": str(folder / "clearml-9.9.9.tgz"),
            "prefix": "clearml_server",
        },
    }
    return {
        "checksums": role("k3s", "fetch", k3s_base_url=f"{url}/checksums", **k3s),
        "binary": role("k3s", "fetch", k3s_base_url=f"{url}/binary", k3s_binary_checksum="a" * 64, **k3s),
        "archive": role("k3s", "images_one", __k3s_archive=archive, __k3s_checksum="", **k3s),
        "helm-checksum": role("admin_tools", "helm", admin_tools_helm_base_url=f"{url}/helm-checksum", **helm),
        "helm": role("admin_tools", "helm", admin_tools_helm_base_url=f"{url}/helm", admin_tools_helm_checksum="a" * 64, **helm),
        "chart": role("homelab", "helm_chart_download", **chart),
    }


class Server:
    """Has the files below /there and no other. Counts what is asked for by the first folder and the method."""

    def __init__(self):
        self.asked = asked = collections.Counter()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                folder = self.path.split("/")[1]
                asked[folder, self.command] += 1
                self.send_response(200 if folder == "there" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET

            def log_message(self, *_words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture(scope="module")
def refused(tmp_path_factory, play, server):
    """The last message of each case."""
    folder = tmp_path_factory.mktemp("refused")
    downloads = cases(folder, server.url)
    keep = {"ansible.builtin.copy": {"content": "{{ ansible_failed_result.msg }}", "dest": f"{folder}/{{{{ inventory_hostname }}}}.txt"}}
    tasks = [{"block": [dict(task, when=f"inventory_hostname == '{name}'") for name, task in downloads.items()], "rescue": [keep]}]
    output = play(dict.fromkeys(downloads), tasks)
    assert "failed=1" not in output, output[-5000:]
    assert not (folder / "library").exists()
    server.asked["chart", "GET"] = len((folder / "pull.log").read_text().splitlines())
    return {name: (folder / f"{name}.txt").read_text() for name in downloads}


K3S = "K3s v9.9.9+k3s1 was not installed, what was there is untouched:"
K3S_FIX = "Set k3s_version to a release that is there (K3s's own: https://github.com/k3s-io/k3s/releases), or mend k3s_base_url."
HELM = "Helm v9.9.9 was not installed, what was there is untouched:"
HELM_FIX = "Mend admin_tools_helm_base_url, admin_tools_helm_version or admin_tools_helm_checksum."


@pytest.mark.parametrize(
    ("case", "said", "file", "fix"),
    [
        ("checksums", K3S, "v9.9.9%2Bk3s1/sha256sum-amd64.txt", K3S_FIX),
        ("binary", K3S, "v9.9.9%2Bk3s1/k3s", K3S_FIX),
        ("archive", "an image archive is missing:", "images.tar", "Mend k3s_extra_image_archives."),
        ("helm-checksum", HELM, "helm-v9.9.9-linux-amd64.tar.gz.sha256sum", HELM_FIX),
        ("helm", HELM, "helm-v9.9.9-linux-amd64.tar.gz", HELM_FIX),
    ],
)
def test_what_is_not_there_is_asked_for_once(refused, server, case, said, file, fix):
    assert refused[case].strip() == f"{case}: {said} {server.url}/{case}/{file} answers 404: there is no such file. {fix}"
    assert server.asked[case, "GET"] == 1


def test_a_chart_that_is_not_there_is_asked_for_once(refused, server):
    assert refused["chart"].strip() == (
        'chart: chart clearml-9.9.9 is missing, and the release is as it was: chart "clearml" version "9.9.9" not found in '
        f"{server.url}/chart repository. Set clearml_server_chart_version to a version that is there, "
        "mend clearml_server_chart_repository_url, or give clearml_server_chart_file."
    )
    assert server.asked["chart", "GET"] == 1


@pytest.fixture(scope="module")
def judged(play, server):
    """The table of preflight for hosts that differ by what they would download; this machine may have other faults."""
    missing, there = f"{server.url}/missing", f"{server.url}/there"
    given = {"k3s_binary_checksum": "a" * 64}
    hosts = {
        "missing": {"k3s_base_url": missing},
        "missing-binary": {"k3s_base_url": missing, **given},
        "there": {"k3s_base_url": there},
        "there-binary": {"k3s_base_url": there, **given},
        "has-it-in-a-folder": {"k3s_base_url": missing, "k3s_release_folder": "/nowhere/releases"},
    }
    hosts = {name: {"k3s_version": VERSION, **variables} for name, variables in hosts.items()}
    return play(hosts, [role("preflight", "main")])


@pytest.mark.parametrize(("host", "file", "method"), [("missing", "sha256sum-amd64.txt", "GET"), ("missing-binary", "k3s", "HEAD")])
def test_preflight_finds_it_before_anything_is_changed(judged, server, host, file, method):
    columns = (
        host,
        f"there is no K3s {VERSION} to download",
        f"404 from {server.url}/missing/v9.9.9%2Bk3s1/{file}",
        "set k3s_version to a",
    )
    assert re.search(r"\s+[|] ".join(re.escape(column) for column in columns), judged), judged
    assert server.asked["missing", method] == 1


def test_preflight_has_nothing_against_a_release_that_is_there(judged, server):
    assert {line.split()[0] for line in judged.splitlines() if re.match(r"\S+ +[|] there is no K3s", line)} == {"missing", "missing-binary"}
    assert (server.asked["there", "GET"], server.asked["there", "HEAD"]) == (1, 1)
