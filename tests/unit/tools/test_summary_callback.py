# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last screen of a run: phases, and what changed where. Seen as a person sees it, through ansible-playbook."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PLAYBOOK = """
- name: First phase
  hosts: one:two
  gather_facts: false
  tasks:
    - name: Change one
      ansible.builtin.debug:
      changed_when: inventory_hostname == 'one'
    - name: Change the other by delegation
      ansible.builtin.debug:
      changed_when: inventory_hostname == 'one'
      delegate_to: "{{ 'two' if inventory_hostname == 'one' else omit }}"
    - name: Change both by delegation
      ansible.builtin.debug:
      changed_when: item != 'none'
      delegate_to: "{{ 'two' if item == 'none' else item }}"
      loop: [one, two, none]
      when: inventory_hostname == 'one'
- name: Second phase
  hosts: one
  gather_facts: false
  tasks:
    - name: Read
      ansible.builtin.debug:
"""


@pytest.fixture
def summary(tmp_path):
    """Runs the playbook and returns what stands below SUMMARY."""

    def run(*arguments, **environment):
        (tmp_path / "play.yml").write_text(PLAYBOOK)
        (tmp_path / "hosts.yml").write_text("all: {vars: {ansible_connection: local}, hosts: {one: , two: }}")
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.yml", "play.yml", *arguments],
            cwd=tmp_path,
            env=os.environ
            | {
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections"),
                "ANSIBLE_NOCOLOR": "1",
            }
            | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.rpartition("\nSUMMARY ")[2].splitlines()[1:]

    return run


def test_changes_stand_under_the_host_they_happened_on(summary):
    lines = [line.rstrip() for line in summary()]
    assert lines[0].startswith("First phase") and lines[0].endswith(" s")
    assert lines[1].startswith("Second phase")
    assert lines[2:] == [
        "one: 2 changed",
        "    Change one",
        "    Change both by delegation",
        "two: 2 changed",
        "    Change the other by delegation (for one)",
        "    Change both by delegation (for one)",
    ]


def test_check_mode_says_would(summary):
    assert "one: 2 would change" in summary("--check")


def test_long_lists_are_cut(summary):
    assert "    and 2 more (HOMELAB_MLOPS_SUMMARY_CHANGES=2 names them all)" in summary(HOMELAB_MLOPS_SUMMARY_CHANGES="0")
