# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: four bare hosts, one ``site.yml``, one real experiment, and a summary to enjoy."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time

from session import Session

from experiment import submit

ANCHOR = "node-01"


class Phases:
    """Names of phases and the seconds each took, in order."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str):
        """Announce a phase, time it, keep its seconds also when it fails."""
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        try:
            yield
        finally:
            self.took[name] = time.monotonic() - started


def run_experiment(session: Session) -> submit.Outcome:
    """Submit the experiment as the homelab's user would and read everything back, its artifact with the agents' key."""
    store = session.secret(ANCHOR, "minio")
    return submit.run(
        **session.login(ANCHOR),
        s3_endpoint_url=session.urls(ANCHOR)["s3"],
        s3_bucket="clearml",
        s3_access_key=store["s3_agents_access_key"],
        s3_secret_key=store["s3_agents_secret_key"],
        queue="default",
    )


def main() -> int:
    """Entry point; exit status 0 only when the experiment's artifact came back byte for byte."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="demo", help="name of the lab")
    parser.add_argument("--down", action="store_true", help="take the lab down at the end")
    options = parser.parse_args()
    session = Session(options.name)
    phases = Phases()
    try:
        with phases.phase("lab: four Debian hosts"):
            session.lab("up", "--topology", "demo")
        with phases.phase("site.yml: from bare hosts to a running queue"):
            site = session.playbook("site")
            if site.rc:
                print(f"site.yml failed with status {site.rc}; run `make demo` again: it goes on where it stopped.")
                return 1
        with phases.phase("experiment: train, report, store"):
            outcome = run_experiment(session)
    finally:
        if options.down:
            with phases.phase("lab down"):
                session.lab("down")
    print_summary(session, phases, outcome, down=options.down)
    return 0 if outcome.artifact_matches else 1


def print_summary(session: Session, phases: Phases, outcome: submit.Outcome, *, down: bool) -> None:
    """The last screen of the demo."""
    rule = "-" * min(100, shutil.get_terminal_size((100, 24)).columns)
    lines = [rule, "Your lab runs ClearML.", rule]
    if not down:
        urls = session.urls(ANCHOR)
        lines += [
            *(
                f"  {label:<22} {urls[key]}"
                for label, key in (("web", "web"), ("API", "api"), ("files", "files"), ("S3", "s3"), ("S3 console", "console"))
            ),
            f"  {'log in as':<22} homelab; the password: tests/lab/bin/lab ssh --name {session.name} {ANCHOR} -- \\",
            '      sudo k3s kubectl -n clearml get secret homelab-mlops -o "jsonpath={.data.user_homelab_password}" | base64 -d',
        ]
    lines += ["", *(f"  {line}" for line in outcome.lines()), ""]
    lines += [f"  {name:<52} {seconds:6.0f} s" for name, seconds in phases.took.items()]
    if not down:
        lines += ["", f"  take it down: tests/lab/bin/lab down --name {session.name}"]
    print("\n".join([*lines, rule]))


if __name__ == "__main__":
    sys.exit(main())
