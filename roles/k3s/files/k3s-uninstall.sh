#!/bin/sh
# Managed by the Ansible role homelab.mlops.k3s.
#
# Takes K3s off this machine. Without options the data of the cluster stay: a server's datastore with its certificates and
# tokens, the volumes of pods, and the name under which the cluster knows the machine; with them a new installation
# continues where this one ended.
#
#   --list                 say what would be removed and what would stay, one per line, and change nothing
#   --delete-server-data   also remove the server's data and the machine's password: the cluster does not need them any more
#   --delete-volumes       also remove the volumes of pods on this machine
#
# Remove the node from the cluster first (`k3s kubectl delete node NAME`), or use the playbook homelab.mlops.remove_host.
set -u

data=/var/lib/rancher/k3s
library=/usr/local/lib/homelab-mlops
action=remove
server_data=false
volumes=false

for option in "$@"; do
    case $option in
    --list) action=list ;;
    --delete-server-data) server_data=true ;;
    --delete-volumes) volumes=true ;;
    *)
        sed -n 's/^# \{0,1\}//p' "$0" | sed 1,2d
        exit 2
        ;;
    esac
done
if [ "$(id -u)" -ne 0 ]; then
    echo "k3s-uninstall.sh: run as root" >&2
    exit 1
fi

filled() {
    [ -d "$1" ] && [ -n "$(find "$1" -mindepth 1 -print -quit 2>/dev/null)" ]
}

mounted() {
    awk -v path="$1" '$5 == path { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# A mount that systemd has a file for was made by a person, through fstab or a unit, and stays.
persons_mount() {
    mounted "$1" && [ -n "$(systemctl show --property FragmentPath --value "$(systemd-escape --path --suffix=mount "$1")" 2>/dev/null)" ]
}

# Those of the given paths that are there, also links to nothing, but no empty disk of a person.
existing() {
    for path in "$@"; do
        if [ -e "$path" ] || [ -L "$path" ]; then
            filled "$path" || ! persons_mount "$path" && echo "$path"
        fi
    done
}

# Links in the path, only those that lead to K3s.
links() {
    for name in kubectl crictl ctr k3s; do
        path=/usr/local/bin/$name
        case $(readlink "$path" 2>/dev/null) in
        k3s | /usr/local/bin/k3s | "$library"/k3s-*) echo "$path" ;;
        *) [ $name = k3s ] && existing "$path" ;;
        esac
    done
}

kept() {
    if ! $server_data; then
        filled $data/server && echo "$data/server"
        existing /etc/rancher/node
    fi
    if ! $volumes && filled $data/storage; then
        echo "$data/storage"
    fi
    existing /var/lib/homelab-mlops/k3s-snapshots
}

# What goes, in an order in which a run that was ended in the middle can be repeated: the scripts last.
removed() {
    existing /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.env /etc/systemd/system/k3s.service.d \
        /etc/systemd/system/k3s-agent.service /etc/systemd/system/k3s-agent.service.env /etc/systemd/system/k3s-agent.service.d \
        /run/systemd/system/k3s.service.d /run/systemd/system/k3s-agent.service.d \
        /etc/modules-load.d/homelab-k3s.conf /etc/sysctl.d/90-homelab-k3s.conf
    links
    existing /etc/rancher/k3s
    $server_data && existing /etc/rancher/node
    # A disk of its own under one of these folders stays mounted: only what is in it goes.
    for path in "$data"/* "$data"/.[!.]*; do
        case $path in
        "$data/server") { $server_data || ! filled "$path"; } && existing "$path" ;;
        "$data/storage") { $volumes || ! filled "$path"; } && existing "$path" ;;
        *) existing "$path" ;;
        esac
    done
    existing /var/lib/kubelet /var/lib/cni/flannel /var/lib/cni/networks/cbr0 /var/log/pods /var/log/containers \
        /run/k3s /run/flannel /run/homelab-mlops/k3s.service.sha256 /run/homelab-mlops/k3s-agent.service.sha256 "$library"/k3s-* \
        /usr/local/bin/k3s-agent-uninstall.sh /usr/local/bin/k3s-uninstall.sh /usr/local/bin/k3s-killall.sh
}

# What containers leave in folders that K3s may share with others: what runc and the CNI plugins note of them, and sockets on
# which nothing listens any more. It is no part of the list, as it is another one with each pod.
leavings() {
    for path in /run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/*; do
        existing "/run/containerd/runc/k8s.io/${path##*/}"
    done
    for path in /var/lib/cni/results/cbr0-*; do
        number=${path##*/cbr0-}
        existing "$path" "/var/lib/cni/results/cni-loopback-${number%-*}-lo"
    done
    for path in /run/nri/nri.sock /run/containerd/s/*; do
        if [ -S "$path" ] && ! grep -q " $path\$" /proc/net/unix; then
            echo "$path"
        fi
    done
}

take_away() {
    if [ ! -d "$1" ] || [ -L "$1" ]; then
        rm -f "$1"
        return
    fi
    if mounted "$1" && ! persons_mount "$1"; then
        umount "$1"
    fi
    if mounted "$1"; then
        find "$1" -xdev -mindepth 1 -delete
    else
        rm -rf --one-file-system "$1"
    fi
}

if [ $action = list ]; then
    removed | sed 's/^/remove /'
    kept | sed 's/^/keep /'
    exit 0
fi

# Nothing is deleted while a container could still write, or a folder of someone else is mounted below one that goes.
if ! "$(dirname "$0")/k3s-killall.sh"; then
    echo "k3s-uninstall.sh: K3s could not be ended, no file was removed" >&2
    exit 1
fi
for unit in k3s.service k3s-agent.service; do
    systemctl disable --quiet "$unit" 2>/dev/null
done
{
    leavings
    removed
} | while read -r path; do
    take_away "$path"
done
systemctl daemon-reload
for unit in k3s.service k3s-agent.service; do
    systemctl reset-failed "$unit" 2>/dev/null
done
for folder in "$data" /var/lib/rancher /etc/rancher /var/lib/cni/networks /var/lib/cni/results /var/lib/cni /run/homelab-mlops "$library" \
    /run/containerd/s /run/containerd/runc/k8s.io /run/containerd/runc /run/containerd /run/nri /run/netns; do
    if [ -d "$folder" ] && ! mounted "$folder" && ! filled "$folder"; then
        rmdir "$folder"
    fi
done
kept | sed 's/^/kept: /'
if [ -n "$(removed)" ]; then
    echo "k3s-uninstall.sh: these stay: $(removed | tr '\n' ' ')" >&2
    exit 1
fi
