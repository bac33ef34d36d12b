#!/bin/sh
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Takes the place of K3s's own install script for k3s-io/k3s-ansible in the benchmark: writes the unit, nothing else. It does
# less than the real one (no checks, no download, no links), so the peer is faster here than it is for its users.
set -eu
: "${INSTALL_K3S_EXEC:=server}"
name=k3s
case $INSTALL_K3S_EXEC in agent*) name=k3s-agent ;; "") INSTALL_K3S_EXEC=server ;; esac
umask 077
touch "/etc/systemd/system/$name.service.env"
cat >"/etc/systemd/system/$name.service" <<UNIT
[Unit]
After=network-online.target
[Install]
WantedBy=multi-user.target
[Service]
Type=notify
EnvironmentFile=-/etc/systemd/system/$name.service.env
KillMode=process
Delegate=yes
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStart=/usr/local/bin/k3s $INSTALL_K3S_EXEC
UNIT
systemctl enable --quiet "$name"
systemctl daemon-reload
