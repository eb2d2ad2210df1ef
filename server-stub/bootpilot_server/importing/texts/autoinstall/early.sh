#!/bin/sh
# early-commands: chooses the disk, or ends the installation. The installer reads /autoinstall.yaml again after this.
HERE=/etc/bootpilot
ANSWERS=/autoinstall.yaml
mkdir -p /run/bootpilot && chmod 700 /run/bootpilot
"$HERE/call-server.sh" event payload-up
disk=$("$HERE/choose-disk.sh") || exit 1
sed -i "s|/dev/no-disk-was-chosen|/dev/$disk|" "$ANSWERS"
grep -q "/dev/$disk" "$ANSWERS" || "$HERE/give-up.sh" "$ANSWERS is not what the profile wrote: nobody names a disk"
setsid "$HERE/give-up.sh" --later /var/log/installer/subiquity-server-debug.log </dev/null >/dev/null 2>&1 &
