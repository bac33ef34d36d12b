# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-test integration`, with the double and a real MinIO as the servers that the targets in tests/integration ask for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clearml_api import config
from conftest import STAGED
from server import Double

COLLECTION = Path(STAGED.split(os.pathsep)[0]) / "ansible_collections/homelab/mlops"


@pytest.mark.timeout(1200)
def test_targets(minio):
    system = config.load(None, {})["secure"]["credentials"]["apiserver"]
    settings = COLLECTION / "tests/integration/integration_config.yml"
    with Double("fixed") as double:
        values = {
            "clearml_api_url": double.urls[0],
            "clearml_access_key": "alice",
            "clearml_secret_key": "alice-pw-1",
            "clearml_system_access_key": system["user_key"],
            "clearml_system_secret_key": system["user_secret"],
            "s3_endpoint_url": minio.url,
            "s3_access_key": minio.pair[0],
            "s3_secret_key": minio.pair[1],
        }
        settings.write_text(yaml.safe_dump(values), encoding="utf-8")
        try:
            program = str(Path(sys.executable).parent / "ansible-test")
            python = f"{sys.version_info.major}.{sys.version_info.minor}"
            done = subprocess.run(
                [program, "integration", "--python", python, "--color", "no", "--allow-destructive"],
                cwd=COLLECTION,
                env={key: value for key, value in os.environ.items() if not key.startswith(("CLEARML", "AWS"))},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        finally:
            settings.unlink()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert done.stdout.count("failed=0") == len(list((COLLECTION / "tests/integration/targets").iterdir()))
