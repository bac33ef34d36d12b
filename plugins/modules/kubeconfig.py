#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: A cluster's entries in a person's kubeconfig
version_added: 0.1.0
description:
  - Puts the cluster, the user and the context of one kubeconfig into another one under a name of its own.
  - Entries of other clusters stay as they are. An entry that has the name but is of another cluster is never overwritten.
  - Whether an entry is of this cluster is told by the certificate of the cluster's authority, which a cluster keeps for its life.
  - Comments in the file are lost when it is written, as they are with C(kubectl config).
options:
  path:
    description: The person's file. Its folder is made (mode 0700) when it is missing. A link is followed.
    type: path
    required: true
  content:
    description: Text of the kubeconfig whose current context is put into O(path), as a server of K3s writes it.
    type: str
    required: true
  server:
    description: URL under which the cluster is reached from where O(path) is used.
    type: str
    required: true
  context:
    description: Name of the context, of the cluster and of the user in O(path).
    type: str
    required: true
  current:
    description:
      - Whether it becomes the current context.
      - Where V(false), it does only in a file that has none.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
requirements:
  - PyYAML
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

EXAMPLES = r"""
- name: Read the kubeconfig of the cluster
  ansible.builtin.slurp:
    src: /etc/rancher/k3s/k3s.yaml
  delegate_to: node-01
  become: true
  no_log: true
  register: cluster

- name: Put it into mine
  homelab.mlops.kubeconfig:
    path: ~/.kube/config
    content: "{{ cluster.content | b64decode }}"
    server: https://192.168.1.11:6443
    context: homelab
"""

RETURN = r"""
path:
  description: The file that was or would be written, links followed.
  returned: success
  type: str
  sample: /home/user/.kube/config
context:
  description: Name of the context.
  returned: success
  type: str
  sample: homelab
current:
  description: The file's current context afterwards.
  returned: success
  type: str
  sample: homelab
others:
  description: Names of the file's other contexts.
  returned: success
  type: list
  elements: str
  sample: [work]
"""

import base64
import copy
import hashlib
import os
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.homelab.mlops.plugins.module_utils.files import NotAnOrdinaryFile, ordinary

try:
    import yaml
except ImportError:
    yaml = None

MODE = 0o600
SINGULAR = {"clusters": "cluster", "contexts": "context", "users": "user"}
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._@:/-]*$")


class Refused(Exception):
    """A file that is not touched; its text says why and what helps."""


def parse(text, what):
    """A kubeconfig as dict with its three lists (client-go tools/clientcmd/api/v1, Config).

    :param text: of the file; an empty one is a kubeconfig without entries
    :param what: its name in messages
    :raises Refused: when it is something else
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = " in line %d" % (mark.line + 1) if mark else ""
        raise Refused("%s is not YAML%s: mend it, or name another file" % (what, where)) from None
    if found is None:
        found = {}
    if not isinstance(found, dict) or found.get("kind", "Config") != "Config":
        raise Refused("%s is no kubeconfig: name another file" % what)
    for key, singular in SINGULAR.items():
        if found.get(key) is None:
            found[key] = []
        good = isinstance(found[key], list) and all(
            isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get(singular) or {}, dict) for one in found[key]
        )
        if not good:
            raise Refused("%s is no kubeconfig, its %s are no list of named entries: mend it, or name another file" % (what, key))
    return found


def entry(config, key, name):
    """What the list `key` of a kubeconfig has under `name`; None when nothing."""
    for one in config[key]:
        if one["name"] == name:
            return one.get(SINGULAR[key]) or {}
    return None


def source(text):
    """Cluster and user of the current context of the cluster's own kubeconfig.

    :returns: (dict, dict)
    :raises Refused: when something is missing
    """
    config = parse(text, "the cluster's kubeconfig")
    context = entry(config, "contexts", config.get("current-context")) or {}
    cluster = entry(config, "clusters", context.get("cluster")) or {}
    user = entry(config, "users", context.get("user")) or {}
    if not cluster.get("certificate-authority-data") or not user:
        raise Refused(
            "the cluster's kubeconfig has no cluster with a certificate, or no user: look at /etc/rancher/k3s/k3s.yaml of a server"
        )
    return cluster, user


def authority(cluster):
    """The authority of a cluster entry as comparable text; empty for none."""
    data = cluster.get("certificate-authority-data")
    if not data:
        return ""
    try:
        return base64.b64decode(str(data)).decode("utf-8", "replace").strip()
    except ValueError:
        return str(data)


def refuse_foreign(config, name, cluster, path):
    """Ends when an entry `name` is there that is not of this cluster.

    :raises Refused: naming the entry and the fix
    """
    fix = "set kubeconfig_context to another name, or take the entry out of the file"
    there = entry(config, "clusters", name)
    if there is not None:
        if authority(there) != authority(cluster):
            raise Refused("%s has a cluster %s that is another one (%s): %s" % (path, name, there.get("server", "without a server"), fix))
        return
    for key in ("users", "contexts"):
        if entry(config, key, name) is not None:
            raise Refused("%s has a %s %s that is not of this cluster: %s" % (path, SINGULAR[key], name, fix))


def put(config, key, name, value):
    """Sets the entry `name`, where it stands or at the end."""
    for one in config[key]:
        if one["name"] == name:
            one[SINGULAR[key]] = value
            return
    config[key].append({"name": name, SINGULAR[key]: value})


def merged(config, name, server, cluster, user, current, path):
    """The kubeconfig as it is to be.

    :raises Refused: for an entry of another cluster
    """
    refuse_foreign(config, name, cluster, path)
    wanted = {"apiVersion": "v1", "kind": "Config"}
    wanted.update(copy.deepcopy(config))
    put(wanted, "clusters", name, dict(entry(wanted, "clusters", name) or {}, **dict(cluster, server=server)))
    put(wanted, "users", name, user)
    put(wanted, "contexts", name, dict(entry(wanted, "contexts", name) or {}, cluster=name, user=name))
    if current or not wanted.get("current-context"):
        wanted["current-context"] = name
    return wanted


def shown(config, name, mode):
    """What a difference may show: no key, no certificate, only their fingerprints."""
    cluster, user = entry(config, "clusters", name), entry(config, "users", name)
    if cluster is None:
        return {"mode": mode, "current-context": config.get("current-context")}
    return {
        "mode": mode,
        "current-context": config.get("current-context"),
        "cluster": {"name": name, "server": cluster.get("server"), "authority": fingerprint(authority(cluster))},
        "user": {"name": name, "fingerprint": fingerprint(yaml.safe_dump(user, sort_keys=True))},
        "context": dict(entry(config, "contexts", name) or {}),
    }


def fingerprint(text):
    """First 16 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def read(path):
    """Text and mode of the file.

    :returns: (str, int); an empty text and None when there is none
    :raises Refused: when it cannot be read
    """
    try:
        if not ordinary(path):
            return "", None
        with open(path, encoding="utf-8") as file:
            return file.read(), os.fstat(file.fileno()).st_mode & 0o777
    except NotAnOrdinaryFile as error:
        raise Refused(str(error)) from None
    except UnicodeDecodeError:
        raise Refused("%s is no text: name another file" % path) from None
    except OSError as error:
        raise Refused("%s cannot be read (%s): name another file" % (path, error.strerror)) from None


def write(module, path, text):
    """Replaces the file in one step, readable by its owner only.

    :raises Refused: when its folder cannot be written
    """
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".kubeconfig-", dir=folder)
    except OSError as error:
        raise Refused("%s cannot be written (%s): name another file" % (path, error.strerror)) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # Before the move: the file never has the new key under the old mode.
        if os.path.exists(path):
            os.chmod(path, MODE)
        module.atomic_move(temporary, path)
        os.chmod(path, MODE)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
            "server": {"type": "str", "required": True},
            "context": {"type": "str", "required": True},
            "current": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    name, path = module.params["context"], os.path.realpath(module.params["path"])
    try:
        if not NAME.match(name):
            raise Refused("%r is no name for a context: use letters, digits and - . _ @ : /" % name)
        cluster, user = source(module.params["content"])
        text, mode = read(path)
        before = parse(text, path)
        after = merged(before, name, module.params["server"], cluster, user, module.params["current"], path)
        changed = mode != MODE or any(before.get(key) != value for key, value in after.items() if key not in ("apiVersion", "kind"))
        if changed and not module.check_mode:
            write(module, path, yaml.safe_dump(after, sort_keys=False, default_flow_style=False, allow_unicode=True))
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        path=path,
        context=name,
        current=after["current-context"],
        others=[one["name"] for one in after["contexts"] if one["name"] != name],
        diff={
            "before_header": path,
            "after_header": path,
            "before": shown(before, name, mode and "%04o" % mode),
            "after": shown(after, name, "%04o" % MODE),
        },
    )


if __name__ == "__main__":
    main()
