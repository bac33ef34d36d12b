# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter unready_workloads: what a set of Deployments still waits for."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = r"""
name: unready_workloads
short_description: Deployments that are not rolled out yet
version_added: 0.1.0
description:
  - Says of which of the named Deployments the wanted replicas do not run yet in their present form, with the reason.
  - The rule is that of C(kubectl rollout status), so a Deployment whose change the controller has not seen yet is not ready.
author: homelab.mlops contributors (@homelab-mlops)
positional: _input
options:
  _input:
    description: Deployments as the Kubernetes API returns them.
    type: list
    elements: dict
    required: true
  names:
    description: Names of the Deployments that must be ready; one that does not exist is not ready.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show what is missing
  ansible.builtin.debug:
    msg: "{{ deployments.resources | homelab.mlops.unready_workloads(names=['minio']) }}"
"""

RETURN = r"""
_value:
  description: One line for each Deployment that is not ready; empty when all are.
  type: list
  elements: str
"""


def _finding(deployment: dict[str, Any]) -> str:
    """Why a Deployment is not rolled out, or an empty string."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    updated, available, total = (status.get(key) or 0 for key in ("updatedReplicas", "availableReplicas", "replicas"))
    if (status.get("observedGeneration") or 0) < deployment["metadata"].get("generation", 0):
        return "its last change was not seen by the controller yet"
    if updated < wanted:
        return f"{updated} of {wanted} pods are in the wanted form"
    if total > updated:
        return f"{total - updated} old pods still end"
    if available < updated:
        return f"{available} of {wanted} pods are available"
    return ""


def unready_workloads(resources: list[dict[str, Any]], names: list[str]) -> list[str]:
    """One line for each name in ``names`` whose Deployment is missing or not rolled out."""
    found = {resource["metadata"]["name"]: resource for resource in resources}
    lines = []
    for name in names:
        finding = _finding(found[name]) if name in found else "does not exist yet"
        if finding:
            lines.append(f"{name}: {finding}")
    return lines


class FilterModule:
    """Registers the filter."""

    def filters(self):
        return {"unready_workloads": unready_workloads}
