#!/bin/sh
# Managed by the Ansible role homelab.mlops.k3s.
#
# Ends K3s on this machine and everything that it started: its service, the containers with their processes, their mounts,
# network interfaces, routes and packet filter rules. It deletes no file; `systemctl start k3s` (or k3s-agent) brings
# everything back. Nothing else on the machine is touched: a process is ended only when it is in the control group of
# K3s's unit or comes from a container of K3s's containerd.
#
# Containers are asked to end first and have 30 seconds for it; set K3S_GRACE_SECONDS for another time.
set -u

units="k3s.service k3s-agent.service"
data=/var/lib/rancher/k3s
socket=/run/k3s/containerd/containerd.sock
grace=${K3S_GRACE_SECONDS:-30}
failed=0
# K3s brings programs that the machine may lack; those of the machine come first.
PATH="$PATH:/usr/sbin:/sbin:$data/data/current/bin:$data/data/current/bin/aux"
export PATH

complain() {
    echo "k3s-killall.sh: $1" >&2
    failed=1
}

# The folders of control groups that belong to K3s's units, in each hierarchy that the machine has.
group_folders() {
    for unit in $units; do
        group=$(systemctl show --property ControlGroup --value "$unit" 2>/dev/null)
        for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
            for folder in "$root$group" "$root/system.slice/$unit"; do
                case $folder in */"$unit") [ -d "$folder" ] && echo "$folder" ;; esac
            done
        done
    done | sort -u
}

# Processes in those control groups.
group_processes() {
    for folder in $groups; do
        find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null
    done | sort -u
}

# The processes between containerd and the containers, told by the socket that they were started with.
shims() {
    grep -lszxF -e "$socket" /proc/[0-9]*/cmdline | while read -r file; do
        grep -qsze containerd-shim "$file" && basename "$(dirname "$file")"
    done
}

# The processes with the given numbers and all that descend from them.
families() {
    grep -s '^PPid:' /proc/[0-9]*/status | sed 's|^/proc/\([0-9]*\)/status:PPid:[^0-9]*|\1 |' | awk -v roots="$*" '
        { parent[$1] = $2 }
        END {
            count = split(roots, root, " ")
            for (i = 1; i <= count; i++) found[root[i]] = 1
            do {
                more = 0
                for (one in parent)
                    if (!(one in found) && (parent[one] in found)) { found[one] = 1; more = 1 }
            } while (more)
            for (one in found) print one
        }'
}

# What of containers runs, without the processes between.
contained() {
    keepers=$(shims | tr '\n' ' ')
    [ -n "$keepers" ] || return 0
    # shellcheck disable=SC2086
    families $keepers | awk -v keepers="$keepers" '
        BEGIN { count = split(keepers, one, " "); for (i = 1; i <= count; i++) keep[one[i]] = 1 }
        !($1 in keep)'
}

# Everything that is to end.
remaining() {
    # shellcheck disable=SC2046
    { families $(shims); group_processes; } | grep -vx -e "$$" -e 1 | sort -u
}

signal() {
    while read -r process; do
        kill "-$1" "$process" 2>/dev/null
    done
}

end_processes() {
    contained | signal TERM
    waited=0
    while [ "$waited" -lt "$grace" ] && [ -n "$(contained)" ]; do
        sleep 1
        waited=$((waited + 1))
    done
    rounds=0
    while [ -n "$(remaining)" ]; do
        rounds=$((rounds + 1))
        if [ "$rounds" -gt 20 ]; then
            complain "these processes do not end: $(remaining | tr '\n' ' ')"
            return
        fi
        remaining | signal KILL
        sleep 0.5
    done
}

# Mounts of containers and pods, the last first. What a person mounted, such as a disk for K3s's data, is not among them.
mounts() {
    awk '{ print $5 }' /proc/self/mountinfo |
        grep -e '^/run/k3s/' -e '^/run/netns/cni-' -e '^/var/lib/kubelet/pods/' -e '^/var/lib/kubelet/plugins/' \
            -e "^$data/agent/" | sort -r
}

unmount_all() {
    mounts | while read -r point; do
        point=$(printf '%b' "$point")
        umount "$point" 2>/dev/null || umount -l "$point"
    done
    [ -z "$(mounts)" ] || complain "still mounted: $(mounts | tr '\n' ' ')"
    for name in /run/netns/cni-*; do
        [ -e "$name" ] && rm -f "$name"
    done
}

remove_links() {
    for link in $(ip -o link show master cni0 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/') \
        cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
        if ip link show "$link" >/dev/null 2>&1; then
            ip link delete "$link" || complain "network interface $link stays"
        fi
    done
}

# Routes to the pods of other nodes, which flannel's backend host-gw sets: inside the pods' network, by way of a node, and
# without the mark of a program that sets routes.
remove_routes() {
    for family in -4 -6; do
        network=$(sed -n "s/^FLANNEL_$([ $family = -4 ] || echo IPV6_)NETWORK=//p" /run/flannel/subnet.env 2>/dev/null | head -n 1)
        [ -n "$network" ] || network=$([ $family = -4 ] && echo 10.42.0.0/16 || echo fd00:42::/56)
        ip $family -o route show root "$network" 2>/dev/null | grep ' via ' | grep -v ' proto \(dhcp\|ra\|static\|bird\|bgp\|ospf\|zebra\)' |
            while read -r destination rest; do
                # shellcheck disable=SC2086
                ip $family route delete "$destination" $rest
            done
    done
}

# Rules and chains of kube-proxy, of network policies, of the CNI plugins and of flannel, taken out of one table after the
# other in one step each, so that the rules of others never go.
clean_filter() {
    command -v "$1-save" >/dev/null && command -v "$1-restore" >/dev/null || return 0
    "$1-save" 2>/dev/null | awk '
        /^\*/ { table = $0; rules = flush = drop = "" }
        /^:(KUBE-|CNI-|FLANNEL-)/ { name = substr($1, 2); flush = flush "-F " name "\n"; drop = drop "-X " name "\n" }
        /^-A / && $2 !~ /^(KUBE-|CNI-|FLANNEL-)/ && (/ -[jg] (KUBE-|CNI-|FLANNEL-)/ || /--comment "flanneld /) { rules = rules "-D " substr($0, 4) "\n" }
        /^COMMIT/ && rules flush != "" { printf "%s\n%s%s%sCOMMIT\n", table, rules, flush, drop }' |
        "$1-restore" --noflush || complain "$1: rules of K3s stay"
}

clean_filters() {
    for version in iptables ip6tables; do
        clean_filter $version
    done
    # The older kind of tables, where they are in use beside the machine's own.
    [ -s /proc/net/ip_tables_names ] && clean_filter iptables-legacy
    [ -s /proc/net/ip6_tables_names ] && clean_filter ip6tables-legacy
    if command -v nft >/dev/null; then
        nft list tables 2>/dev/null | grep -e ' kube-proxy$' -e ' flannel-ipv[46]$' | while read -r _ family name; do
            nft delete table "$family" "$name"
        done
    fi
    if command -v ipset >/dev/null; then
        ipset list -n 2>/dev/null | grep '^\(inet6:\)\{0,1\}KUBE-' | while read -r name; do
            ipset destroy "$name"
        done
    fi
}

if [ "$(id -u)" -ne 0 ]; then
    echo "k3s-killall.sh: run as root" >&2
    exit 1
fi
groups=$(group_folders)
for unit in $units; do
    if [ "$(systemctl show --property LoadState --value "$unit" 2>/dev/null)" = loaded ]; then
        systemctl stop "$unit" || complain "$unit does not stop"
    fi
done
end_processes
unmount_all
remove_links
remove_routes
clean_filters
exit "$failed"
