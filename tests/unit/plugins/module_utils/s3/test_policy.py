# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import policy
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput

BASE = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/*"}


def same(one, other):
    return policy.parse({"Statement": one}) == policy.parse({"Statement": other})


@pytest.mark.parametrize(
    "changes",
    [
        {"Action": ["s3:PutObject", "s3:GetObject"]},
        {"Action": ["s3:PutObject", "s3:GetObject", "s3:GetObject"]},
        {"Resource": ["arn:aws:s3:::b/*"]},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["*"]}},
        {"Sid": ""},
        {"Condition": {}},
    ],
)
def test_what_means_the_same(changes):
    assert same(BASE, dict(BASE, **changes))
    assert same(BASE, [dict(BASE, **changes)])


@pytest.mark.parametrize(
    "changes",
    [
        {"Action": "s3:GetObject"},
        {"Effect": "Deny"},
        {"Resource": "arn:aws:s3:::b"},
        {"Principal": {"AWS": "arn:aws:iam::1:root"}},
        {"Sid": "x"},
        {"Condition": {"Bool": {"aws:SecureTransport": True}}},
    ],
)
def test_what_means_something_else(changes):
    assert not same(BASE, dict(BASE, **changes))


def test_order_of_statements_and_forms_of_conditions():
    limited = dict(BASE, Condition={"Bool": {"aws:SecureTransport": True}, "IpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}})
    written = dict(BASE, Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}, "Bool": {"aws:SecureTransport": "true"}})
    assert same([limited, BASE], [BASE, written])


@pytest.mark.parametrize("empty", ["", "  ", "{}", {}, None])
def test_nothing(empty):
    assert policy.parse(empty) is None


def test_the_common_form_is_its_own_common_form():
    once = policy.parse({"Statement": BASE, "Id": ""})
    assert policy.parse(once) == once
    assert once["Version"] == "2012-10-17"
    assert "Id" not in once


@pytest.mark.parametrize(
    "wrong", ["{", "[1]", {"Statement": "x"}, {"Statement": [1]}, {"Statement": [{}]}, {"Statement": dict(BASE, Condition={"Bool": "x"})}]
)
def test_what_is_no_policy(wrong):
    with pytest.raises(InvalidInput):
        policy.parse(wrong)
