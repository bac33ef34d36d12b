#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_credentials
short_description: Keep one labelled API credential of a ClearML user
version_added: 0.1.0
description:
  - Creates, verifies, rotates and revokes an API credential (access key and secret key), which is found by its label.
  - A secret is shown by the server once, when it is made. So the pair that a machine has stored is handed to this module, which
    signs in with it. While it works, nothing happens. When it does not work, a new pair is made and seen to work before the old
    one is revoked.
  - Tokens that were issued for a pair stay valid after the pair is revoked, for up to 30 days by default. Restart what runs with
    the old pair.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  label:
    description:
      - Name of the credential, one for each machine or program that uses one.
      - ClearML does not keep labels unique. See O(remove_duplicates).
    type: str
    required: true
  state:
    description:
      - With V(present), one credential with this label works.
      - With V(absent), every credential with this label is revoked.
    type: str
    choices: [present, absent]
    default: present
  stored_access_key:
    description: Access key of the pair that is in use where the credential is needed. Leave both out when there is none yet.
    type: str
  stored_secret_key:
    description: Secret key of that pair.
    type: str
  rotate:
    description:
      - With V(never), a stored pair that works stays.
      - With V(always), each run replaces it.
    type: str
    choices: [never, always]
    default: never
  remove_duplicates:
    description:
      - Whether further credentials with the same label are revoked. Otherwise they are reported as RV(duplicates).
      - Set it only where the label belongs to one machine, such as a label with the host's name in it. It then also clears what an
        interrupted run left behind.
      - When there is no stored pair that works, and exactly one credential has the label, that one is replaced in any case, because
        nobody can read its secret any more.
    type: bool
    default: false
  user:
    description:
      - Id or display name of the user to whom the credential belongs. Needs a connection pair with the role admin or system.
      - By default it belongs to the user of the connection. The identities of the server's own configuration cannot have any.
    type: str
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: partial
    details:
      - With O(rotate=always) each run makes a new pair.
      - Without a stored pair each run makes a new pair.
seealso:
  - module: homelab.mlops.clearml_queue
"""

EXAMPLES = r"""
- name: A pair for this worker, when the stored one does not work
  homelab.mlops.clearml_credentials:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    label: "worker-{{ inventory_hostname }}"
    stored_access_key: "{{ stored_pair.access_key | default(omit) }}"
    stored_secret_key: "{{ stored_pair.secret_key | default(omit) }}"
    remove_duplicates: true
  register: worker_pair
  no_log: true

- name: Write the new pair where the agent reads it
  ansible.builtin.copy:
    content: |
      CLEARML_API_ACCESS_KEY={{ worker_pair.credentials.access_key }}
      CLEARML_API_SECRET_KEY={{ worker_pair.credentials.secret_key }}
    dest: /etc/clearml-agent/credentials.env
    mode: "0600"
  when: worker_pair.created and not ansible_check_mode
  no_log: true

- name: Revoke the pair of a machine that is gone
  homelab.mlops.clearml_credentials:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    label: worker-gpu-03
    state: absent
"""

RETURN = r"""
credentials:
  description: The new pair. It cannot be read again. Register the result and set C(no_log) on the task.
  type: dict
  returned: when a pair was made
  contains:
    access_key:
      description: Access key.
      type: str
      sample: 78H6IB4QCHPB3X4EVTJGH26R8607RK
    secret_key:
      description: Secret key.
      type: str
      sample: a-secret-of-67-characters
access_key:
  description: Access key of the credential that has the label and works; not known in check mode before it is made.
  type: str
  returned: when O(state=present)
  sample: 78H6IB4QCHPB3X4EVTJGH26R8607RK
created:
  description: Whether a new pair was made, or would be in check mode.
  type: bool
  returned: success
  sample: true
reason:
  description: Why something was done, or that nothing had to be.
  type: str
  returned: success
  sample: the stored pair is not accepted
stored_pair_works:
  description: Whether a login with the stored pair worked; null when none was given.
  type: bool
  returned: success
  sample: false
revoked:
  description: Access keys that were revoked.
  type: list
  elements: str
  returned: success
  sample: [SFZ1UIUOX2W0JZNK0F7DZGL1JG13JE]
duplicates:
  description: Access keys with the same label that were left alone.
  type: list
  elements: str
  returned: success
  sample: []
user_id:
  description: Id of the user whom O(user) names.
  type: str
  returned: when O(user) is given
  sample: ebd9c614fe1dfb0bcb4618861bd238fd
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, credentials
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference

NOT_KNOWN_YET = "(a new key)"


def reason_of(plan, params, stored_works):
    """One line that says why the plan is what it is."""
    if params["state"] == "absent":
        return "it is to be absent" if plan.revoke else "there is none"
    if plan.create and params["rotate"] == "always":
        return "rotation was asked for"
    if plan.create and stored_works is None:
        return "no pair is stored"
    if plan.create:
        return "the stored pair belongs to another user" if stored_works else "the stored pair is not accepted"
    if plan.relabel:
        return "the stored pair works and has another label"
    return "the stored pair works"


def work(module):
    """Reads, plans, and outside check mode carries out; returns the module's result; raises ClearMLError."""
    params = module.params
    credentials.check_label(params["label"])
    transport = arguments.transport_of(params)
    result = {}
    if params["user"]:
        result["user_id"] = credentials.user_id_of(transport, params["user"])
        transport = transport.impersonating(result["user_id"])
    listed = credentials.read(transport)
    keys = credentials.labelled(listed, params["label"])
    others = [entry["access_key"] for entry in listed if entry["access_key"] not in keys]
    stored_works = None
    if params["stored_access_key"] and params["state"] == "present":
        stored_works = transport.as_other(params["stored_access_key"], params["stored_secret_key"]).login_works()
    plan = credentials.Plan(
        keys, others, params["stored_access_key"], stored_works, params["state"], params["rotate"], params["remove_duplicates"]
    )
    if transport.access_key in plan.revoke:
        raise ClearMLError(
            "credential %r is the one that this connection uses: connect with another pair to replace or revoke it" % params["label"]
        )
    if plan.relabel:
        transport.need_api_version("2.19", "changing the label of a credential")
    new_key = NOT_KNOWN_YET
    revoked = list(plan.revoke)
    if not module.check_mode:
        if plan.create:
            result["credentials"] = credentials.create(transport, params["label"])
            new_key = result["credentials"]["access_key"]
        if plan.relabel:
            transport.call("auth.edit_credentials", {"access_key": plan.relabel, "label": params["label"]})
        revoked = revoke_all(module, transport, plan)
    result.update(
        difference(
            {"label": params["label"], "access_keys": keys},
            {"label": params["label"], "access_keys": plan.after(new_key, revoked)},
        )
    )
    result.update(
        created=plan.create,
        reason=reason_of(plan, params, stored_works),
        stored_pair_works=stored_works,
        revoked=revoked,
        duplicates=plan.duplicates,
    )
    if params["state"] == "present":
        result["access_key"] = plan.key if not plan.create else (None if module.check_mode else new_key)
    if plan.duplicates:
        module.warn(
            "%d further ClearML credential(s) are labelled %r: %s; remove_duplicates=true revokes them"
            % (len(plan.duplicates), params["label"], ", ".join(plan.duplicates))
        )
    return result


def revoke_all(module, transport, plan):
    """Revokes what the plan says; once a new pair exists, a failure here must not lose it, so it becomes a warning."""
    revoked = []
    for access_key in plan.revoke:
        try:
            credentials.revoke(transport, access_key)
        except ClearMLError as error:
            if not plan.create:
                raise
            module.warn("the replaced ClearML key %s was not revoked: %s" % (access_key, error))
        else:
            revoked.append(access_key)
    return revoked


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            label={"type": "str", "required": True},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            stored_access_key={"type": "str", "no_log": False},
            stored_secret_key={"type": "str", "no_log": True},
            rotate={"type": "str", "choices": ["never", "always"], "default": "never"},
            remove_duplicates={"type": "bool", "default": False},
            user={"type": "str"},
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE,
        required_one_of=arguments.REQUIRED_ONE_OF,
        required_together=arguments.REQUIRED_TOGETHER + [("stored_access_key", "stored_secret_key")],
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except ClearMLError as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
