# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real SDK as a person has it, over https: logs in, uploads a file to the fileserver, and reads it back.

    sdk.py ADDRESS DOMAIN CA     ClearML's names below DOMAIN lead to ADDRESS; CA is the file that certificates are checked with

The names are in no DNS of this machine, so they are resolved here; what is checked of the certificate stays the SDK's. User and
password come from CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY.
"""

import json
import os
import pathlib
import socket
import sys
import tempfile

address, domain, authority = sys.argv[1:]
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *args, **options: resolve(address if str(host).endswith(f".{domain}") else host, *args, **options)

folder = pathlib.Path(tempfile.mkdtemp())
# The SDK's sessions with the fileserver take the setting from below sdk (clearml/storage/helper.py of 2.1.12).
settings = {
    "api": {
        "web_server": f"https://app.{domain}",
        "api_server": f"https://api.{domain}",
        "files_server": f"https://files.{domain}",
        "verify_certificate": authority,
        "http": {"retries": {"total": 1, "connect": 1}},
    },
    "sdk": {"api": {"verify_certificate": authority}, "storage": {"cache": {"default_base_dir": str(folder / "cache")}}},
}
(folder / "clearml.conf").write_text(json.dumps(settings))
# What this machine sets for its own traffic would come before the setting.
for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "CLEARML_API_HOST"):
    os.environ.pop(name, None)
os.environ["CLEARML_CONFIG_FILE"] = str(folder / "clearml.conf")

import clearml  # noqa: E402  after its settings

settings = {"output_uri": f"https://files.{domain}", "auto_connect_frameworks": False, "auto_resource_monitoring": False}
task = clearml.Task.init("ingress", "upload", **settings)
(folder / "data.bin").write_bytes(os.urandom(3 << 20))
task.upload_artifact("data", str(folder / "data.bin"), wait_on_upload=True)
artifact = clearml.Task.get_task(task.id).artifacts["data"]
assert artifact.url.startswith(f"https://files.{domain}/"), artifact.url
copy = pathlib.Path(artifact.get_local_copy(force_download=True))
assert copy.read_bytes() == (folder / "data.bin").read_bytes()
task.close()
print(f"uploaded to {artifact.url}")
