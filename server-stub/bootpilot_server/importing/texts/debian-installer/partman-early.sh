#!/bin/sh
# partman/early_command: chooses the disk, or ends the installation. What returns from here is followed by partitioning.
HERE=/etc/bootpilot
STATE=/run/bootpilot

stop() { # why
    : >"$STATE/over"
    echo "bootpilot: $1" | tee /dev/console >&2
    "$HERE/call-server.sh" event failed stage=guard "message=$1" "hint=disk_* in [settings] of the profile say which disk is meant"
    "$HERE/call-server.sh" failed "$1"
    "$HERE/call-server.sh" log /var/log/syslog
    echo "bootpilot: nothing more is done here; this board asks the server again in a minute" >/dev/console
    sleep 60
    sync
    reboot
    sleep 30
    reboot -f
    # Whatever happens, no partitioning.
    while :; do sleep 3600; done
}

mkdir -p "$STATE"
udevadm settle --timeout=60 2>/dev/null
disk=$("$HERE/disk-guard.sh" choose 2>"$STATE/guard") || stop "$(cat "$STATE/guard")"
[ -b "/dev/$disk" ] || stop "the guard chose $disk, and there is no /dev/$disk"
"$HERE/call-server.sh" event installing stage=guard "disk=$disk"
"$HERE/disk-guard.sh" unmark "$disk" || stop "the marks on $disk could not be destroyed"
"$HERE/call-server.sh" event installing stage=unmarked "disk=$disk"
udevadm settle --timeout=60 2>/dev/null
# After 94save-logs, the last one that writes to the disk, and before 95umount. It must be there before the first of these scripts
# runs, late_command among them: finish-install lists them once.
mkdir -p /usr/lib/finish-install.d
cp "$HERE/finish.sh" /usr/lib/finish-install.d/94zz-bootpilot
echo "d-i partman-auto/disk string /dev/$disk" >"$STATE/disk"
# Not debconf-set, which fails with 10 for a question that no component has brought yet.
debconf-set-selections "$STATE/disk" || stop "the disk could not be named to the installer"
