#!/bin/sh
# Prints the one disk that may be written, after its marks were destroyed; or ends the installation with the guard's verdict. For
# installers that ask once, before they look at any disk.
set -u
HERE=${0%/*}

stop() { # why
    echo "bootpilot: $1" >&2
    "$HERE/give-up.sh" "$1" >&2
    exit 1
}

mkdir -p /run/bootpilot
udevadm settle --timeout=60 >&2
disk=$("$HERE/disk-guard.sh" choose 2>/run/bootpilot/guard) || stop "$(cat /run/bootpilot/guard)"
[ -b "/dev/$disk" ] || stop "the guard chose $disk, and there is no /dev/$disk"
"$HERE/call-server.sh" event installing stage=guard "disk=$disk" >&2
"$HERE/disk-guard.sh" unmark "$disk" >&2 || stop "the marks on $disk could not be destroyed"
"$HERE/call-server.sh" event installing stage=unmarked "disk=$disk" >&2
udevadm settle --timeout=60 >&2
echo "$disk"
