# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for the whole story; the tests are its chapters and run in file order."""

from __future__ import annotations

import os

import pytest
from session import Session


@pytest.fixture(scope="session")
def lab() -> Session:
    """Bare hosts at the start of the story; gone at its end unless ``E2E_KEEP`` is set."""
    session = Session("e2e")
    session.lab("down")
    session.lab("up", "--topology", "demo")
    yield session
    if not os.environ.get("E2E_KEEP"):
        session.lab("down")
