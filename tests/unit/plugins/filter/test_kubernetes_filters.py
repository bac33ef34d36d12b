# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that read what the Kubernetes API returns."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.filter.pod_findings import pod_findings
from ansible_collections.homelab.mlops.plugins.filter.quantity_bytes import quantity_bytes
from ansible_collections.homelab.mlops.plugins.filter.unready_workloads import unready_workloads


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("20Gi", 20 * 1024**3),
        ("20G", 20 * 1000**3),
        ("1.5Ti", 3 * 1024**4 // 2),
        ("512", 512),
        (512, 512),
        ("1500m", 2),
        ("1e3", 1000),
        ("2E", 2 * 1000**6),
    ],
)
def test_quantity_bytes(text, count):
    assert quantity_bytes(text) == count


@pytest.mark.parametrize("text", ["", "20GiB", "20 Gi", "-1Gi", "large", "Gi"])
def test_no_quantity(text):
    with pytest.raises(AnsibleFilterError, match="such as 20Gi"):
        quantity_bytes(text)


def deployment(name, generation=1, **status):
    return {"metadata": {"name": name, "generation": generation}, "spec": {"replicas": 1}, "status": status}


READY = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


def test_ready_deployment():
    assert unready_workloads([deployment("a", **READY)], names=["a"]) == []


@pytest.mark.parametrize(
    ("resource", "finding"),
    [
        (deployment("other", **READY), "a: does not exist yet"),
        (deployment("a"), "a: its last change was not seen by the controller yet"),
        (deployment("a", generation=2, **READY), "a: its last change was not seen by the controller yet"),
        (deployment("a", **{**READY, "updatedReplicas": 0}), "a: 0 of 1 pods are in the wanted form"),
        (deployment("a", **{**READY, "replicas": 2}), "a: 1 old pods still end"),
        (deployment("a", **{**READY, "availableReplicas": 0}), "a: 0 of 1 pods are available"),
    ],
)
def test_unready_deployment(resource, finding):
    assert unready_workloads([resource], names=["a"]) == [finding]


def pod(name, ready="False", node="node-01", phase="Pending", conditions=(), **status):
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}, *conditions], **status},
    }


def event(kind, name, reason, message, stamp, level="Warning"):
    return {
        "metadata": {},
        "type": level,
        "reason": reason,
        "message": message,
        "lastTimestamp": stamp,
        "involvedObject": {"kind": kind, "name": name},
    }


def test_ready_and_completed_pods_are_left_out():
    assert pod_findings([pod("a", ready="True", phase="Running"), pod("b", phase="Succeeded")]) == []


def test_reason_of_container_and_last_warning():
    waiting = {"name": "minio", "ready": False, "restartCount": 2, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    events = [
        event("Pod", "a", "Failed", "an older failure", "2026-01-01T00:00:00Z"),
        event("Pod", "a", "Failed", "no such\n image", "2026-01-01T00:00:02Z"),
        event("Pod", "a", "Scheduled", "went to node-01", "2026-01-01T00:00:03Z", level="Normal"),
        event("Pod", "b", "Failed", "of another pod", "2026-01-01T00:00:04Z"),
    ]
    assert pod_findings([pod("a", containerStatuses=[waiting])], events=events) == [
        "pod a on node-01: minio waits (ImagePullBackOff, restarted 2 times); Failed: no such image"
    ]


def test_initialisation_names_the_container_at_work():
    statuses = {
        "initContainerStatuses": [{"name": "init", "ready": False, "restartCount": 0, "state": {"running": {}}}],
        "containerStatuses": [{"name": "main", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    assert pod_findings([pod("a", **statuses)]) == ["pod a on node-01: init is still at work"]


def test_unscheduled_pod_and_its_claim():
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    events = [event("PersistentVolumeClaim", "data", "ProvisioningFailed", "no storage class", "2026-01-01T00:00:00Z")]
    assert pod_findings([pod("a", node="", conditions=[unscheduled])], events=events) == [
        "pod a: 0/1 nodes are available",
        "volume claim data; ProvisioningFailed: no storage class",
    ]


def test_pod_that_was_not_placed_tells_of_its_claims():
    waiting = pod("a", node="")
    waiting["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "tmp", "emptyDir": {}}]
    events = [
        event("PersistentVolumeClaim", "data", "ExternalProvisioning", "waits for the provisioner", "2026-01-01T00:00:00Z", level="Normal")
    ]
    assert pod_findings([waiting], events=events) == [
        "pod a: Pending",
        "volume claim data; ExternalProvisioning: waits for the provisioner",
    ]
