#!/bin/sh
# The last that the installer does with the disk: the mark, flushed, and only then the word that it is done. A word that is lost
# is made up for by the mark, which the agent reports at the next boot.
#
#   finish.sh         as finish-install.d runs it
#   finish.sh root    prints the PARTUUID of the root partition
HERE=/etc/bootpilot
STATE=/run/bootpilot
MARK=/target/etc/bootpilot/installed.json
# shellcheck source=/dev/null
. "$HERE/settings.conf"

note() {
    sed -n "s/^\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" /bootpilot/boot.json 2>/dev/null
}

root_device() {
    sed -n 's/^\/dev\/\([^ ]*\) \/target .*/\1/p' /proc/mounts | tail -n 1
}

root_disk() {
    basename "$(readlink -f "/sys/class/block/$(root_device)/..")"
}

# A root file system on LVM or RAID has no partition of its own, and then no PARTUUID.
root_partuuid() {
    number=$(cat "/sys/class/block/$(root_device)/partition" 2>/dev/null)
    "$HERE/disk-guard.sh" partitions "$(root_disk)" | sed -n "s/^$number [0-9]* [0-9]* [^ ]* //p" | sed -n 1p
}

write_mark() {
    root=$(root_partuuid)
    [ -n "$root" ] || return 1
    after=$AUTONOMOUS_AFTER_S
    [ "$after" -ge 0 ] || after=null
    mkdir -p "${MARK%/*}"
    cat >"$MARK.new" <<EOF
{
"version": 1,
"node_id": "$(note node_id)",
"install_id": "$(note install_id)",
"evidence": $(cat "$HERE/evidence.json"),
"root_partuuid": "$root",
"autonomous_after_s": $after
}
EOF
    sync
    mv "$MARK.new" "$MARK" && "$HERE/disk-guard.sh" unclaim "$(root_disk)" && sync
}

if [ "${1:-}" = root ]; then
    root_partuuid
    exit
fi
: >"$STATE/over"
if ! write_mark; then
    why="the mark could not be written: the root file system lies on no partition, or its disk is full"
    "$HERE/call-server.sh" event failed stage=marked "message=$why"
    "$HERE/call-server.sh" failed "$why"
    exit 0
fi
"$HERE/call-server.sh" event installing stage=marked
"$HERE/call-server.sh" event installed
"$HERE/call-server.sh" log /var/log/syslog /var/log/partman /var/log/hardware-summary
"$HERE/call-server.sh" 'done'
exit 0
