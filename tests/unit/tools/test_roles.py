# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults, argument_specs and READMEs of a role say the same, or the check names the difference."""

import check_specs
import pytest
import role_readme
import roles
import yaml


def role(tmp_path, defaults, options, main=None):
    """A role `thing` on disk with these defaults, options and tasks of main.yml."""
    path = tmp_path / "roles" / "thing"
    for part, content in {
        "defaults/main.yml": defaults,
        "meta/argument_specs.yml": {"argument_specs": {"main": {"short_description": "Thing", "options": options}}},
        "tasks/main.yml": main or [{"name": "Install", "ansible.builtin.include_tasks": "install.yml"}],
    }.items():
        (path / part).parent.mkdir(parents=True, exist_ok=True)
        (path / part).write_text(yaml.safe_dump(content))
    return roles.Role(path)


SIZE = {"type": "str", "default": "20Gi", "description": "Size of the | volume."}


def test_a_consistent_role_has_no_findings(tmp_path):
    assert check_specs.spec_findings(role(tmp_path, {"thing_size": "20Gi"}, {"thing_size": SIZE})) == []


@pytest.mark.parametrize(
    ("defaults", "options", "words"),
    [
        ({"thing_size": "10Gi"}, {"thing_size": SIZE}, "make them equal"),
        ({}, {"thing_size": SIZE}, "not in defaults/main.yml"),
        ({"thing_size": "20Gi"}, {}, "not in meta/argument_specs.yml"),
        ({"size": "20Gi"}, {"size": SIZE}, "begin with thing_"),
        ({"thing_size": True}, {"thing_size": {**SIZE, "type": "int", "default": True}}, "is no int"),
        ({"thing_size": "20Gi"}, {"thing_size": {**SIZE, "choices": ["1Gi"]}}, "none of its choices"),
        ({"thing_size": []}, {"thing_size": {"type": "list", "default": [], "description": "x"}}, "without elements"),
        ({"thing_size": "20Gi"}, {"thing_size": {"type": "str", "default": "20Gi"}}, "no description"),
    ],
)
def test_each_disagreement_is_one_finding(tmp_path, defaults, options, words):
    found = check_specs.spec_findings(role(tmp_path, defaults, options))
    assert len([line for line in found if words in line]) == 1


def test_main_only_includes(tmp_path):
    found = check_specs.main_findings(role(tmp_path, {}, {}, [{"name": "Do", "ansible.builtin.command": "true"}]))
    assert len(found) == 1
    assert "move the task" in found[0]


def test_the_readme_keeps_what_was_written_by_hand(tmp_path):
    thing = role(tmp_path, {"thing_size": "20Gi"}, {"thing_size": SIZE})
    first = role_readme.readme(thing, None)
    assert "| `thing_size` | str | `20Gi` | Size of the \\| volume. |" in first
    changed = role(tmp_path, {"thing_size": "30Gi"}, {"thing_size": {**SIZE, "default": "30Gi"}})
    second = role_readme.readme(changed, first.replace("# homelab.mlops.thing", "# By hand") + "\nLast words.\n")
    assert second.startswith("# By hand")
    assert second.endswith("Last words.\n")
    assert "`30Gi`" in second
    assert "`20Gi`" not in second
