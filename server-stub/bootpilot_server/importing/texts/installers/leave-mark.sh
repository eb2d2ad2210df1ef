#!/bin/sh
# The last that an installer does with the disk: the mark, flushed, and only then the word that it is done. A word that is lost
# is made up for by the mark, which the agent reports at the next boot.
#
#   leave-mark.sh TARGET LOG...        where the new root file system is mounted; what is sent as the installer's log
#   leave-mark.sh --root TARGET        prints the PARTUUID of that file system's partition
set -u
HERE=${0%/*}
ROOT=${CALL_ROOT:-}
STATE=${CALL_STATE:-$ROOT/run/bootpilot}
# shellcheck source=/dev/null
. "$HERE/mark.conf" || exit 1

note() {
    sed -n "s/^\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$ROOT/bootpilot/boot.json" 2>/dev/null
}

# proc(5): the third field of a mount is the device's number, the fifth its place.
root_device() {
    number=$(awk -v place="$1" '$5 == place { found = $3 } END { print found }' "${MARK_MOUNTS:-/proc/self/mountinfo}")
    [ -n "$number" ] && basename "$(readlink -f "$ROOT/sys/dev/block/$number")"
}

root_disk() {
    basename "$(readlink -f "$ROOT/sys/class/block/$(root_device "$1")/..")"
}

# A root file system on LVM or RAID has no partition of its own, and then no PARTUUID.
root_partuuid() {
    number=$(cat "$ROOT/sys/class/block/$(root_device "$1")/partition" 2>/dev/null)
    [ -n "$number" ] || return 1
    "$HERE/disk-guard.sh" partitions "$(root_disk "$1")" | sed -n "s/^$number [0-9]* [0-9]* [^ ]* //p" | sed -n 1p
}

write_mark() {
    root=$(root_partuuid "$1")
    [ -n "$root" ] || return 1
    after=$AUTONOMOUS_AFTER_S
    [ "$after" -ge 0 ] || after=null
    mark=$1/etc/bootpilot/installed.json
    mkdir -p "${mark%/*}"
    cat >"$mark.new" <<END
{
"version": 1,
"node_id": "$(note node_id)",
"install_id": "$(note install_id)",
"evidence": $(cat "$HERE/evidence.json"),
"root_partuuid": "$root",
"autonomous_after_s": $after
}
END
    sync
    mv "$mark.new" "$mark" && "$HERE/disk-guard.sh" unclaim "$(root_disk "$1")" && sync
}

if [ "${1:-}" = --root ]; then
    root_partuuid "$2"
    exit
fi
target=${1%/}
shift
: >"$STATE/over"
if ! write_mark "$target"; then
    why="the mark could not be written: the root file system lies on no partition, or its disk is full"
    "$HERE/call-server.sh" event failed stage=marked "message=$why"
    "$HERE/call-server.sh" log "$@"
    "$HERE/call-server.sh" failed "$why"
    exit 1
fi
"$HERE/call-server.sh" event installing stage=marked
"$HERE/call-server.sh" event installed
"$HERE/call-server.sh" log "$@"
"$HERE/call-server.sh" 'done'
exit 0
