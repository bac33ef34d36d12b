# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts as a chart starts them: settings from files and variables, the file server, the web port."""

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import warnings

import pytest
from clearml_api import hocon
from server import PROGRAM, Double, basic

SERVER_CONF = """
auth {
  # the users of this installation
  fixed_users {
    enabled: true
    pass_hashed: true
    users: [ { username: "homelab", password: "%s", name: "Home Lab" } ]
  }
}
"""


def hashed(password):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import crypt
    return base64.b64encode(crypt.crypt(password, "$2b$04$abcdefghijklmnopqrstuu").encode()).decode()


def part(name, *arguments, environment=None):
    """A part started as in a pod, on a free port; with the url that it listens on."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML", "TRAINS", "NGINX"))}
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), name, "--listen", "127.0.0.1:0", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**variables, **(environment or {})},
    )
    return process, process.stdout.readline().split()[-1]


@pytest.fixture
def pod(tmp_path):
    """An API server with a mounted apiserver.conf and keys from variables, and a file server with the same keys."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "apiserver.conf").write_text(SERVER_CONF % hashed("päss"), encoding="utf-8")
    keys = {
        "CLEARML_CONFIG_PATH": str(config),
        "CLEARML__SECURE__CREDENTIALS__SERVICES_AGENT__USER_KEY": "agentkey",
        "CLEARML__SECURE__CREDENTIALS__SERVICES_AGENT__USER_SECRET": "agentsecret",
        "CLEARML__SECURE__CREDENTIALS__FILESERVER__USER_KEY": "fileskey",
        "CLEARML__SECURE__CREDENTIALS__FILESERVER__USER_SECRET": "filessecret",
        "CLEARML__HOSTS__ELASTIC__EVENTS__HOSTS": "[elastic:9200]",
    }
    api, api_url = part("apiserver", environment=keys)
    keys["CLEARML__HOSTS__API_SERVER"] = api_url
    files, files_url = part("fileserver", "--folder", tmp_path / "files", environment=keys)
    web, web_url = part("webserver", environment={"NGINX_APISERVER_ADDRESS": api_url, "NGINX_FILESERVER_ADDRESS": files_url})
    yield {"api": api_url, "files": files_url, "web": web_url}
    for process in (api, files, web):
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()


def post(url, body, authorization=None, **headers):
    """(status, envelope) of a call."""
    if authorization:
        headers["Authorization"] = authorization
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def send(url, method, authorization=None, data=None, headers=()):
    """(status, bytes) of any request."""
    host = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host[0], timeout=10)
    try:
        extra = {"Authorization": authorization} if authorization else {}
        connection.request(method, "/" + host[2], data, {**dict(headers), **extra})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def form(name, content):
    body = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode() + content + b"\r\n--edge--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


def test_users_and_keys_of_the_settings(pod):
    latin = "Basic " + base64.b64encode("homelab:päss".encode("latin-1")).decode()  # what the server can read
    assert post(pod["api"] + "/users.get_current_user", {}, latin)[1]["data"]["user"]["name"] == "Home Lab"
    for header in (basic("homelab", "päss"), basic("homelab", "wrong")):
        assert post(pod["api"] + "/auth.login", {}, header)[1]["meta"]["result_subcode"] == 22
    assert post(pod["api"] + "/auth.fixed_users_mode", {})[1]["data"]["enabled"] is True
    agent = basic("agentkey", "agentsecret")
    users = post(pod["api"] + "/users.get_all", {}, agent)[1]["data"]["users"]
    key = next(user["id"] for user in users if user["name"] == "Home Lab")
    as_home = {"X-ClearML-Impersonate-As": key}
    assert post(pod["api"] + "/auth.create_credentials", {"label": "a"}, agent)[1]["meta"]["result_subcode"] == 301
    pair = post(pod["api"] + "/auth.create_credentials", {"label": "a"}, agent, **as_home)[1]["data"]["credentials"]
    current = post(pod["api"] + "/users.get_current_user", {}, basic(pair["access_key"], pair["secret_key"]))[1]["data"]["user"]
    assert (current["id"], current["role"]) == (key, "user")


def test_files(pod):
    agent = basic("agentkey", "agentsecret")
    token = "Bearer " + post(pod["api"] + "/auth.login", {}, agent)[1]["data"]["token"]
    content = os.urandom(700_000) + b"\r\n--edg" + b"\r\n--"
    # Small: the server answers without reading it, and closes the connection while a large body would still be on its way.
    stranger, headers = form("project/task.1/stranger", b"x")
    assert send(pod["files"] + "/", "POST", None, stranger, headers.items())[0] == 401
    assert send(pod["files"] + "/", "POST", "Bearer nonsense", stranger, headers.items())[0] == 401
    body, headers = form("project/task.1/ä file.bin", content)
    status, answer = send(pod["files"] + "/", "POST", token, body, headers.items())
    assert (status, json.loads(answer)) == (200, ["project/task.1/ä file.bin"])
    path = "/project/task.1/%C3%A4%20file.bin"
    assert send(pod["files"] + path, "GET", token) == (200, content)
    assert send(pod["web"] + "/files" + path, "GET", token) == (200, content)
    assert send(pod["files"] + path, "GET", token, None, [("Range", "bytes=10-19")]) == (206, content[10:20])
    assert send(pod["files"] + "/project/task.1/none", "GET", token)[0] == 404
    evil, headers = form("../../escaped", b"x")
    assert send(pod["files"] + "/", "POST", token, evil, headers.items())[0] == 404
    assert send(pod["files"] + "/../config/apiserver.conf", "GET", token)[0] == 404
    wanted = json.dumps({"files": ["project/task.1", "nothing", "/"]}).encode()
    status, answer = send(pod["files"] + "/delete_many", "POST", token, wanted)
    assert status == 200
    assert json.loads(answer) == {
        "deleted": {"project/task.1": "project/task.1"},
        "errors": {"Not found": ["nothing"], "Empty path not allowed": ["/"]},
    }
    assert send(pod["files"] + path, "GET", token)[0] == 404


def test_web_port(pod):
    assert b"ClearML" in send(pod["web"] + "/", "GET")[1]
    assert post(pod["web"] + "/api/debug.ping", {"a": 1})[1]["data"] == {"msg": "ClearML server", "a": 1}
    assert post(pod["web"] + "/api/v2.4/queues.get_all", {})[1]["meta"]["result_subcode"] == 20
    assert json.loads(send(pod["web"] + "/configuration.json", "GET")[1]) == {}


def test_bad_settings_end_with_one_line(tmp_path):
    (tmp_path / "apiserver.conf").write_text("auth { fixed_users = ${users} }\n")
    result = subprocess.run(
        [sys.executable, str(PROGRAM), "apiserver", "--config", str(tmp_path)], capture_output=True, text=True, timeout=10
    )
    assert result.returncode == 1
    assert result.stderr == "clearml-api: line 1: substitutions, include and += are not read\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b: 1, c = x y // note\n", {"a": {"b": 1}, "c": "x y"}),
        ('{"a": [1, "b", {"c": null}], "u": "http://x:1/y"}', {"a": [1, "b", {"c": None}], "u": "http://x:1/y"}),
        ("a { b: 1 }\na { c: true }\n# note\na.b = 2", {"a": {"b": 2, "c": True}}),
        ('a = """two\nlines"""\nl: [\n x\n y\n]', {"a": "two\nlines", "l": ["x", "y"]}),
    ],
)
def test_settings_text(text, value):
    assert hocon.parse(text) == value


@pytest.mark.parametrize("text", ["a", "a: {", "{a: 1} b", "a: ]", "include other", 'a: "open'])
def test_settings_text_refused(text):
    with pytest.raises(hocon.HoconError):
        hocon.parse(text)


def test_too_large_a_request_is_refused():
    with Double("open") as double:
        connection = http.client.HTTPConnection(double.host, int(double.port), timeout=10)
        connection.putrequest("POST", "/debug.ping")
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_end_while_waiting_for_redis():
    """A pod that is taken away before its Redis answers ends at once."""
    environment = {**os.environ, "CLEARML_REDIS_SERVICE_HOST": "127.0.0.1", "CLEARML_REDIS_SERVICE_PORT": "1"}
    process = subprocess.Popen([sys.executable, str(PROGRAM), "apiserver", "--listen", "127.0.0.1:0"], env=environment)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
