# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter pod_findings: what the cluster says about pods that do not run."""

from __future__ import annotations

from typing import Any, Iterator

DOCUMENTATION = r"""
name: pod_findings
short_description: One line for each pod that is not ready, with its reason and last event
version_added: 0.1.0
description:
  - Tells from pods and events, as the Kubernetes API returns them, what holds a workload up.
  - Completed pods and ready pods are left out. A volume claim is told of when it warns, or when a pod that was not placed yet asks for it.
author: homelab.mlops contributors (@homelab-mlops)
positional: _input
options:
  _input:
    description: Pods.
    type: list
    elements: dict
    required: true
  events:
    description: Events of the same namespace.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show what holds the pods up
  ansible.builtin.debug:
    msg: "{{ pods.resources | homelab.mlops.pod_findings(events=events.resources) }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def _time(event: dict[str, Any]) -> str:
    """When an event was last seen, as a text that sorts."""
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def _last_event(kind: str, name: str, events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The latest event of an object, a warning before anything else."""
    own = [event for event in events if event["involvedObject"].get("kind") == kind and event["involvedObject"].get("name") == name]
    return max(own, key=lambda event: (event.get("type") == "Warning", _time(event)), default=None)


def _text(event: dict[str, Any] | None) -> str:
    """An event as the end of a line."""
    return f"; {event.get('reason', 'event')}: {' '.join(event.get('message', '').split())}" if event else ""


def _states(pod: dict[str, Any]) -> Iterator[str]:
    """Why each container that is not ready is not."""
    status = pod.get("status") or {}
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or []:
            state = container.get("state") or {}
            restarts = f", restarted {container['restartCount']} times" if container.get("restartCount") else ""
            if "waiting" in state:
                yield f"{container['name']} waits ({state['waiting'].get('reason', 'no reason given')}{restarts})"
            elif "running" in state and key == "initContainerStatuses":
                yield f"{container['name']} is still at work{restarts}"
            elif "running" in state and not container.get("ready"):
                yield f"{container['name']} runs, but is not ready{restarts}"
            elif "terminated" in state and state["terminated"].get("exitCode"):
                yield f"{container['name']} ended with {state['terminated']['exitCode']}{restarts}"


def pod_findings(pods: list[dict[str, Any]], events: list[dict[str, Any]] | None = None) -> list[str]:
    """One line for each pod that is not ready and for each volume claim that warns or is waited for."""
    events = events or []
    lines = []
    claims = {
        event["involvedObject"]["name"]
        for event in events
        if event["involvedObject"].get("kind") == "PersistentVolumeClaim" and event.get("type") == "Warning"
    }
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        status = pod.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
        if status.get("phase") == "Succeeded" or conditions.get("Ready", {}).get("status") == "True":
            continue
        name = pod["metadata"]["name"]
        said = list(_states(pod))
        scheduled = conditions.get("PodScheduled", {})
        if scheduled.get("status") == "False":
            said.append(" ".join(scheduled.get("message", "not scheduled").split()))
        said = [text for text in said if "PodInitializing" not in text] or said
        where = f" on {pod['spec']['nodeName']}" if pod.get("spec", {}).get("nodeName") else ""
        lines.append(
            f"pod {name}{where}: {', '.join(said) or status.get('phase', 'no state yet')}{_text(_last_event('Pod', name, events))}"
        )
        if not where:
            volumes = pod.get("spec", {}).get("volumes") or []
            claims |= {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    lines += [f"volume claim {claim}{_text(_last_event('PersistentVolumeClaim', claim, events))}" for claim in sorted(claims)]
    return lines


class FilterModule:
    """Registers the filter."""

    def filters(self):
        return {"pod_findings": pod_findings}
