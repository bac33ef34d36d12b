# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host of the object store: its disk, its ports, its settings; each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import minio_host as rules
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, SETTINGS, changed, facts

DISK = {"folder": "/srv", "mount": "/srv/disk1", "free_bytes": 50 << 30, "total_bytes": 90 << 30, "readonly": False, "noexec": False}


def found(settings=None, disk=None, **changes):
    """What is found of a machine whose data is on a disk of its own."""
    wanted = {**SETTINGS["minio"], "data_dir": "/srv/disk1/minio", "data_mount": "/srv/disk1", **(settings or {})}
    node = changed(NODE, **changes)
    node["disks"][wanted["data_dir"]] = {**DISK, **(disk or {})}
    return rules.host_findings("store-01", node, wanted)


def test_a_machine_with_a_disk_and_free_ports():
    assert found() == []
    assert found({"address": "10.0.0.1"}) == []


def test_an_address_that_the_example_left_behind():
    (one,) = found({"address": "192.168.20.237"})
    assert (one["level"], one["finding"]) == ("refuse", "homelab_s3_address is no address of the object store's machine")
    assert one["measured"] == "192.168.20.237"


@pytest.mark.parametrize(
    ("disk", "changes", "expected"),
    [
        ({"mount": "/"}, {}, ("refuse", "/srv/disk1, of minio_data_mount, is not mounted", "/srv/disk1/minio is on /")),
        ({"readonly": True}, {}, ("refuse", "minio_data_dir is on a file system that cannot be written", "/srv/disk1")),
        ({"free_bytes": 3 << 30}, {}, ("refuse", "too little space for /srv/disk1/minio", "3.0 GiB free, 10 GiB needed")),
        ({"free_bytes": 3 << 30}, {"minio": True}, ("note", "too little space for /srv/disk1/minio", "3.0 GiB free, 10 GiB needed")),
        ({}, {"listeners": {"9000": "/usr/sbin/nginx"}}, ("refuse", "port 9000 for MinIO is taken", "/usr/sbin/nginx")),
        ({}, {"listeners": {"9001": ""}}, ("refuse", "port 9001 for MinIO is taken", "by an unknown program")),
        ({}, {"network__firewall": "ufw"}, ("note", "ufw may keep clients from MinIO", "TCP 9000, 9001")),
    ],
)
def test_what_speaks_against_a_machine(disk, changes, expected):
    assert facts(found(disk=disk, **changes)) == [expected]


def test_an_unmounted_disk_is_refused_also_where_minio_was_set_up():
    assert facts(found(disk={"mount": "/"}, minio=True))[0][0] == "refuse"


def test_the_minio_of_an_earlier_run_takes_no_port_away():
    assert found(listeners={"9000": rules.OWN_BINARIES + "RELEASE.2025-09-07T16-13-09Z (deleted)"}) == []


def test_a_firewall_is_no_news_where_minio_was_set_up():
    assert found(minio=True, network__firewall="firewalld") == []


def test_the_fix_for_a_firewall_can_be_typed():
    (note,) = found({"ports": {"s3": 443, "s3_console": 9001}}, network__firewall="firewalld")
    assert note["fix"] == "`firewall-cmd --permanent --add-port=443/tcp --add-port=9001/tcp && firewall-cmd --reload`"


@pytest.mark.parametrize("folder", ["/var/lib/minio", "/srv/disk1/minio", "/home/me/s3", "/mnt/a.b/c"])
def test_folders_for_data(folder):
    assert rules.setting_findings("store-01", {"minio_data_dir": folder}) == []


@pytest.mark.parametrize(
    "folder",
    [
        "",
        "/",
        "/srv",
        "/etc/minio",
        "/usr/local/minio",
        "/var/lib",
        "/var/lib/homelab-mlops/x",
        "/srv/../etc",
        "/srv/a b",
        "/srv/{1...4}",
        "srv/x",
    ],
)
def test_folders_that_are_none_for_data(folder):
    (one,) = rules.setting_findings("store-01", {"minio_data_dir": folder})
    assert one["finding"] == "minio_data_dir cannot hold the data"


@pytest.mark.parametrize(
    ("provided", "text"),
    [
        ({"minio_data_dir": "/srv/a/minio", "minio_data_mount": "/srv/b"}, "minio_data_dir is not below minio_data_mount"),
        ({"minio_data_dir": "/srv/bc/minio", "minio_data_mount": "/srv/b/"}, "minio_data_dir is not below minio_data_mount"),
        ({"minio_host_user": "root"}, "minio_host_user cannot run MinIO"),
        ({"minio_host_user": "minio; id"}, "minio_host_user cannot run MinIO"),
        ({"minio_version": "2025-09-07"}, "minio_version is no release of MinIO"),
        ({"minio_binary_checksum": "A" * 64}, "minio_binary_checksum is no SHA-256"),
        ({"minio_binary_file": "files/minio"}, "minio_binary_file has no checksum"),
    ],
)
def test_settings_that_cannot_be(provided, text):
    assert [one["finding"] for one in rules.setting_findings("store-01", provided)] == [text]


def test_settings_that_can_be():
    provided = {"minio_data_dir": "/srv/b/minio", "minio_data_mount": "/srv/b/", "minio_version": "RELEASE.2025-09-07T16-13-09Z"}
    assert rules.setting_findings("store-01", {**provided, "minio_binary_file": "files/minio", "minio_binary_checksum": "a" * 64}) == []


def test_more_than_one_host_in_the_group():
    (one,) = rules.group_findings({"minio_servers": ["a", "b"]})
    assert (one["level"], one["finding"], one["measured"]) == ("refuse", "group minio_servers has more than one host", "a, b")
    assert rules.group_findings({"minio_servers": ["a"]}) == rules.group_findings({}) == []
