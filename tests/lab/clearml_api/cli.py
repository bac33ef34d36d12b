# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, in two forms: `--mode fixed|open --listen HOST:PORT` by hand, and the real image's arguments."""

import argparse
import logging
import os
import signal
import sys
import threading

from . import apiserver, config, fileserver, webserver
from .hocon import HoconError
from .store import open_backend

log = logging.getLogger("clearml_api")


def _address(text):
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise argparse.ArgumentTypeError(f"HOST:PORT was expected, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _parser():
    parser = argparse.ArgumentParser(prog="clearml-api", description="A double of the ClearML server for tests.")
    parser.add_argument("part", nargs="?", choices=("apiserver", "fileserver", "webserver"), help="the part to be, as in the real image")
    parser.add_argument("--mode", choices=("fixed", "open"), help="by hand: with the recordings' fixed users, or without")
    parser.add_argument("--listen", type=_address, metavar="HOST:PORT", help="default: 0.0.0.0 and 8008, 8081 or 80 for a part")
    parser.add_argument(
        "--state", metavar="FILE", help="keep the state in this SQLite file (default: CLEARML_REDIS_SERVICE_HOST, or memory)"
    )
    parser.add_argument("--config", metavar="FOLDER", help="*.conf files (default CLEARML_CONFIG_PATH; for a part /opt/clearml/config)")
    parser.add_argument("--files", type=_address, metavar="HOST:PORT", help="by hand: also a file server there")
    parser.add_argument("--folder", metavar="FOLDER", help="the file server's files (default CLEARML_UPLOAD_FOLDER or /mnt/fileserver)")
    parser.add_argument("--web", type=_address, metavar="HOST:PORT", help="by hand: also the web port there, e.g. 127.0.0.1:8080")
    parser.add_argument("--api-url", metavar="URL", help="the API server for the other parts (default from the environment)")
    parser.add_argument("--files-url", metavar="URL", help="the file server for the web port (default from the environment)")
    return parser


def _redis_address(environment):
    host = environment.get("CLEARML_REDIS_SERVICE_HOST")
    return (host, int(environment.get("CLEARML_REDIS_SERVICE_PORT") or 6379)) if host else None


def _api(arguments, tree):
    users = tree["apiserver"]["auth"]["fixed_users"]
    if arguments.mode:
        users["enabled"] = arguments.mode == "fixed"
        users["users"] = users.get("users") or config.RECORDED_USERS
    redis = None if arguments.state else _redis_address(os.environ)
    return apiserver.ApiServer(tree, open_backend(arguments.state, redis))


def _files(arguments, tree, address, api_url):
    folder = arguments.folder or os.environ.get("CLEARML_UPLOAD_FOLDER") or "/mnt/fileserver"
    pair, settings = tree["secure"]["credentials"]["fileserver"], tree["fileserver"]["auth"]
    check = None
    if settings["enabled"]:
        check = fileserver.TokenCheck(api_url, pair["user_key"], pair["user_secret"], settings["cookie_names"])
    return fileserver.listener(address, folder, check)


def _url(address):
    return f"http://{'127.0.0.1' if address[0] == '0.0.0.0' else address[0]}:{address[1]}"


def _servers(arguments, tree):
    """The listeners to run and the API server among them, or None."""
    environment = os.environ
    api_url = arguments.api_url or tree.get("hosts", {}).get("api_server") or environment.get("CLEARML_API_HOST")
    if arguments.part == "fileserver":
        address = arguments.listen or ("0.0.0.0", 8081)
        return [_files(arguments, tree, address, api_url or "http://apiserver:8008")], None
    if arguments.part == "webserver":
        api_url = arguments.api_url or environment.get("NGINX_APISERVER_ADDRESS") or "http://apiserver:8008"
        files_url = arguments.files_url or environment.get("NGINX_FILESERVER_ADDRESS") or "http://fileserver:8081"
        return [webserver.listener(arguments.listen or ("0.0.0.0", 80), api_url, files_url)], None
    api = _api(arguments, tree)
    servers = [apiserver.listener(arguments.listen or ("0.0.0.0", 8008), api)]
    own_url = _url(servers[0].server_address)
    if arguments.files:
        servers.append(_files(arguments, tree, arguments.files, own_url))
    if arguments.web:
        files_url = arguments.files_url or (_url(servers[1].server_address) if arguments.files else "http://127.0.0.1:8081")
        servers.append(webserver.listener(arguments.web, own_url, files_url))
    return servers, api


def main(argv=None):
    """Run until SIGTERM or SIGINT. Exit status 0, or 1 after one line about what is wrong."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.part) == bool(arguments.mode):
        parser.error("give either apiserver, fileserver or webserver, or --mode fixed|open")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # the first process of a pod has no default action
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "WARNING").upper(), format="%(asctime)s %(levelname)s %(message)s")
    try:
        folder = arguments.config or os.environ.get("CLEARML_CONFIG_PATH") or ("/opt/clearml/config" if arguments.part else None)
        servers, api = _servers(arguments, config.load(folder, os.environ))
    except (OSError, HoconError) as error:
        print(f"clearml-api: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = [threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True) for server in servers]
    for thread, server in zip(threads, servers, strict=True):
        thread.start()
        print(f"clearml-api: listening on {_url(server.server_address)}", flush=True)
    stop.wait()
    for server in servers:
        server.shutdown()
        server.server_close()
    if api:
        api.close()  # waits for the call that is being answered
    return 0
