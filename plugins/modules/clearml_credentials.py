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
  - The pair can be given with O(stored_access_key) and O(stored_secret_key), or be kept in a file of the target with O(path).
  - Tokens that were issued for a pair stay valid after the pair is revoked, for up to 30 days by default. Restart what runs with
    the old pair.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  label:
    description:
      - Name of the credential, one for each machine or program that uses one.
      - ClearML does not keep labels unique. See O(remove_duplicates).
      - Making one needs a server with API 2.17, giving another label to a pair that works one with API 2.19.
      - Of several runs at the same moment that make one with the same label, one does, and the others fail and take theirs back.
        One that would give the label to a pair with another label fails and leaves that label too.
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
  stored_created:
    description:
      - When that pair was made, such as the RV(created_at) of the run that made it. For O(rotate=older_than).
      - The server does not know it.
    type: str
  path:
    description:
      - File on the target that holds the pair. It is read at the start, and a new pair is written to it, at once and completely,
        after it was seen to work and before the old one is revoked. When that fails, the new pair is revoked and the old one stays.
      - Its folder has to exist. With O(state=absent), the pair is taken out of it.
    type: path
  format:
    description:
      - How the pair stands in the file.
      - With V(json), a JSON object with C(access_key), C(secret_key), C(label), C(api_url) and C(created). Other keys in it stay.
      - With V(clearml_conf), a marked block at the end of a C(clearml.conf), which wins over what stands above it.
    type: str
    choices: [json, clearml_conf]
    default: json
  owner:
    description: Name of the user who owns the file. By default it stays as it is.
    type: str
  group:
    description: Name of the group that owns the file. By default it stays as it is.
    type: str
  mode:
    description: Permissions of the file, which let its owner read it.
    type: raw
    default: "0600"
  rotate:
    description:
      - With V(never), a stored pair that works stays.
      - With V(always), each run replaces it.
      - With V(older_than), it is replaced when it is older than O(older_than), or when its age is not known. The age is in the file
        at O(path), or given with O(stored_created).
    type: str
    choices: [never, always, older_than]
    default: never
  older_than:
    description: A number with one of the units C(s), C(m), C(h), C(d) and C(w), such as V(90d).
    type: str
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

- name: A pair in this user's clearml.conf, a new one each quarter
  homelab.mlops.clearml_credentials:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    label: "notebook-{{ inventory_hostname }}"
    path: ~/clearml.conf
    format: clearml_conf
    rotate: older_than
    older_than: 90d

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
  returned: when a pair was made and O(path) is not given
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
created_at:
  description: When the new pair was made, in UTC.
  type: str
  returned: when a pair was made
  sample: "2026-11-21T00:25:10+00:00"
path:
  description: The file that holds the pair.
  type: str
  returned: when O(path) is given
  sample: /etc/clearml/pair.json
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

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, credentials, times
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError, InvalidInput
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.pairfile import PairFile
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference

NOT_KNOWN_YET = "(a new key)"


class Stored(object):
    """The pair that is in use, from the options or from the file.

    :ivar file: PairFile or None
    :ivar access_key: and
    :ivar secret_key: None when there is no pair
    :ivar created: time as text, or None
    """

    def __init__(self, module):
        params = module.params
        self.file = PairFile(params["path"], params["format"]) if params["path"] is not None else None
        if self.file:
            self.access_key, self.secret_key, self.created = self.file.access_key, self.file.secret_key, self.file.created
            module.no_log_values.update({self.secret_key} if self.secret_key else ())
            if params["state"] == "present":
                self.file.check_attributes(params["owner"], params["group"], params["mode"])
        else:
            self.access_key, self.secret_key = params["stored_access_key"], params["stored_secret_key"]
            self.created = params["stored_created"]


def renewal(params, created, now):
    """Why a stored pair that works is replaced, or an empty text.

    :param created: when it was made, as text, or None
    :param now: seconds since 1970
    """
    if params["rotate"] == "always":
        return "rotation was asked for"
    if params["rotate"] == "older_than":
        age = times.seconds_since(created, now)
        if age is None:
            return "the age of the stored pair is not known"
        if age > times.seconds_of(params["older_than"], "older_than"):
            return "the stored pair is older than %s" % params["older_than"]
    return ""


def reason_of(plan, params, stored_works, renew):
    """One line that says why the plan is what it is."""
    if params["state"] == "absent":
        return "it is to be absent" if plan.revoke else "there is none"
    if plan.create and stored_works is None:
        return "no pair is stored"
    if plan.create and not stored_works:
        return "the stored pair is not accepted"
    if plan.create:
        return renew or "the stored pair belongs to another user"
    if plan.relabel:
        return "the stored pair works and has another label"
    return "the stored pair works"


def check(params):
    """Refuses options that make no sense together; raises InvalidInput."""
    credentials.check_label(params["label"])
    if params["user"] == "":
        raise InvalidInput("user must not be empty: leave it out for the user of the connection")
    if params["older_than"] is not None:
        times.seconds_of(params["older_than"], "older_than")
        if params["rotate"] != "older_than":
            raise InvalidInput("older_than needs rotate=older_than")
    if params["rotate"] == "older_than" and not params["path"] and params["stored_access_key"] and not params["stored_created"]:
        raise InvalidInput("rotate=older_than needs path or stored_created: the server does not know how old a pair is")
    if params["stored_created"] and times.moment_of(params["stored_created"]) is None:
        raise InvalidInput("stored_created must be a time such as 2026-11-21T00:25:10+00:00")


def make(module, transport, stored, known):
    """A new pair, in the file where there is one; returns (pair, when it was made); raises ClearMLError and leaves none."""
    label = module.params["label"]
    if stored.file:
        stored.file.check_writable()
    pair = credentials.create(transport, label, known)
    created = times.text_of(transport.server_time())
    if stored.file:
        try:
            stored.file.write(stored.file.with_pair(pair, label, transport.api_url, created))
        except ClearMLError:
            credentials.revoke(transport, pair["access_key"])
            raise
    return pair, created


def file_attributes(module, stored):
    """Sets owner, group and mode of the file where there is one; returns whether they differed."""
    if not stored.file or module.params["state"] == "absent" or (module.check_mode and stored.file.text is None):
        return False
    arguments = module.load_file_common_arguments(module.params, path=stored.file.path)
    return module.set_fs_attributes_if_different(arguments, False)


def work(module):
    """Reads, plans, and outside check mode carries out; returns the module's result; raises ClearMLError."""
    params = module.params
    check(params)
    transport = arguments.transport_of(params)
    stored = Stored(module)
    result = {}
    if params["user"]:
        result["user_id"] = credentials.user_id_of(transport, params["user"])
        transport = transport.impersonating(result["user_id"])
    listed = credentials.read(transport)
    keys = credentials.labelled(listed, params["label"])
    others = [entry["access_key"] for entry in listed if entry["access_key"] not in keys]
    stored_works = None
    if stored.access_key and params["state"] == "present":
        stored_works = transport.as_other(stored.access_key, stored.secret_key).login_works()
    renew = renewal(params, stored.created, transport.server_time()) if stored_works else ""
    plan = credentials.Plan(keys, others, stored.access_key, stored_works, params["state"], bool(renew), params["remove_duplicates"])
    if transport.access_key in plan.revoke:
        raise ClearMLError(
            "credential %r is the one that this connection uses: connect with another pair to replace or revoke it" % params["label"]
        )
    if plan.create:
        transport.need_api_version("2.17", "the label of a credential")
    if plan.relabel:
        transport.need_api_version("2.19", "changing the label of a credential")
    new_key = NOT_KNOWN_YET
    revoked = list(plan.revoke)
    if not module.check_mode:
        if plan.create:
            pair, result["created_at"] = make(module, transport, stored, keys)
            new_key = pair["access_key"]
            if not stored.file:
                result["credentials"] = pair
        if plan.relabel:
            former = [entry.get("label") for entry in listed if entry["access_key"] == plan.relabel]
            credentials.relabel(transport, plan.relabel, params["label"], keys, former[0])
        revoked = revoke_all(module, transport, plan)
        if params["state"] == "absent" and stored.file and stored.file.ours:
            stored.file.write(stored.file.without_pair())
    before = {"label": params["label"], "access_keys": keys}
    after = {"label": params["label"], "access_keys": plan.after(new_key, revoked)}
    if stored.file:
        result["path"] = params["path"]
        before["in_file"] = stored.access_key if params["state"] == "present" or stored.file.ours else None
        after["in_file"] = None if params["state"] == "absent" else new_key if plan.create else stored.access_key
    result.update(difference(before, after))
    result["changed"] |= file_attributes(module, stored)
    result.update(
        created=plan.create,
        reason=reason_of(plan, params, stored_works, renew),
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
            stored_created={"type": "str"},
            path={"type": "path"},
            format={"type": "str", "choices": ["json", "clearml_conf"], "default": "json"},
            owner={"type": "str"},
            group={"type": "str"},
            mode={"type": "raw", "default": "0600"},
            rotate={"type": "str", "choices": ["never", "always", "older_than"], "default": "never"},
            older_than={"type": "str"},
            remove_duplicates={"type": "bool", "default": False},
            user={"type": "str"},
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE
        + [("path", "stored_access_key"), ("path", "stored_secret_key"), ("path", "stored_created")],
        required_one_of=arguments.REQUIRED_ONE_OF,
        required_together=arguments.REQUIRED_TOGETHER + [("stored_access_key", "stored_secret_key")],
        required_if=[("rotate", "older_than", ("older_than",))],
        required_by={"stored_created": ("stored_access_key",), "owner": ("path",), "group": ("path",)},
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except ClearMLError as error:
        module.no_log_values.update(arguments.secrets_in(module.params))
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
