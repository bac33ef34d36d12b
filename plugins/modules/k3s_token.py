#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_token
short_description: Give a K3s cluster a new server token
version_added: 0.1.0
description:
  - Changes the server token of a living cluster by the call that C(k3s token rotate) makes, on one of its servers, as root.
  - It needs K3s 1.28 or newer. The token is in no command line.
  - The agents' token changes with it, unless the servers have one of their own for agents.
  - It notes the new token on the server before the change and until O(state=settled). While the note is there, the rotation counts as not
    finished and the noted token is taken instead of one more new one, so that a run that was killed in between can be repeated.
  - Other servers and the agents have to be given the new token, and every server to be restarted with it. That is not done here.
options:
  state:
    description:
      - V(rotated) changes the token.
      - V(settled) forgets the note, once every node has the new token.
    type: str
    choices: [rotated, settled]
    default: rotated
  token:
    description:
      - The new token, the secret alone or as K3s shows it.
      - Empty, a secret is made of random letters and digits.
    type: str
    default: ""
  note:
    description: File in which the new token is noted, of mode 0600.
    type: path
    default: /etc/rancher/k3s/homelab-token.next
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  diff_mode:
    support: none
    details:
      - Everything that changes is secret.
  idempotent:
    support: partial
    details:
      - With O(token), or with O(state=settled).
      - A token that the module makes is another one each time, unless the one before is not settled.
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

EXAMPLES = r"""
- name: Give the cluster a new token
  homelab.mlops.k3s_token:
  become: true
  register: rotation

- name: Every node has it
  homelab.mlops.k3s_token:
    state: settled
  become: true
"""

RETURN = r"""
unsettled:
  description: Whether a new token was given, now or before, and nodes may still lack it.
  returned: success
  type: bool
resumed:
  description: Whether an earlier run had begun the rotation.
  returned: success
  type: bool
"""

import os
import re
import secrets
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.files import NotAnOrdinaryFile, ordinary
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.supervisor import Supervisor, SupervisorError, secret_of

MADE_BYTES = 32
# No space or line end, and no colon, which parts user and secret in a full token.
USABLE = re.compile(r"^[!-9;-~]{8,}$")


def noted(path):
    """The token in the note; empty when there is none.

    :raises NotAnOrdinaryFile: something else is there
    """
    if not ordinary(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def note(path, secret):
    """Writes the note in one step, and onto the disk before it returns."""
    handle, temporary = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def rotate(supervisor, given, path, write):
    """Brings the cluster's token to the given one, the noted one, or a new one.

    :param given: token, or an empty text
    :param path: of the note
    :param write: False for check mode
    :returns: dict of changed, unsettled and resumed
    :raises SupervisorError: when K3s does not do it
    """
    earlier = noted(path)
    wanted = secret_of(given) or earlier or secrets.token_hex(MADE_BYTES)
    if not USABLE.match(wanted):
        raise SupervisorError("the new token is not usable: give at least 8 letters, digits and signs without colon and space")
    changed = supervisor.secret() != wanted
    if changed and write:
        note(path, wanted)
        supervisor.rotate(wanted)
        if supervisor.secret() != wanted:
            raise SupervisorError("K3s took the new token but %s has another one" % supervisor.token_file)
    return {"changed": changed, "unsettled": changed or bool(earlier), "resumed": bool(earlier)}


def settle(path, write):
    """Forgets the note; dict as above."""
    there = bool(noted(path)) or os.path.exists(path)
    if there and write:
        os.unlink(path)
    return {"changed": there, "unsettled": False, "resumed": False}


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["rotated", "settled"], "default": "rotated"},
            "token": {"type": "str", "default": "", "no_log": True},
            "note": {"type": "path", "default": "/etc/rancher/k3s/homelab-token.next"},
        },
        supports_check_mode=True,
    )
    path, write = module.params["note"], not module.check_mode
    try:
        if module.params["state"] == "settled":
            result = settle(path, write)
        else:
            result = rotate(Supervisor(), module.params["token"], path, write)
    except (SupervisorError, NotAnOrdinaryFile) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg="%s cannot be written: %s" % (path, error.strerror))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
