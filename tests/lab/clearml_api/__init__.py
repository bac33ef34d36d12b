# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of the ClearML server for the lab and for the tests: API server, file server and web port in one program.

It answers the calls that the collection, the `clearml` SDK and `clearml-agent` make, with the rules of API server 2.3.0
(API 2.34), and refuses what that server refuses. Its measure are the recordings of a real server in
`tests/contract/recordings`; a comment names its source where a rule is surprising.
"""
