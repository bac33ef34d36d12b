# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints who logs in with a clearml.conf or, where there is none, with the environment. Argument: the file, or nothing."""

import base64
import json
import os
import sys
import urllib.request

if len(sys.argv) > 1:
    with open(sys.argv[1], encoding="utf-8") as file:
        api = json.loads(file.read().partition("\n")[2])["api"]
    url, pair = api["api_server"], (api["credentials"]["access_key"], api["credentials"]["secret_key"])
else:
    url, pair = os.environ["CLEARML_API_HOST"], (os.environ["CLEARML_API_ACCESS_KEY"], os.environ["CLEARML_API_SECRET_KEY"])
request = urllib.request.Request(url + "/users.get_current_user", b"{}", {"Content-Type": "application/json"})
request.add_header("Authorization", "Basic " + base64.b64encode(":".join(pair).encode()).decode())
with urllib.request.urlopen(request, timeout=30) as answer:
    print(json.load(answer)["data"]["user"]["name"])
