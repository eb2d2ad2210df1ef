#!/bin/sh
# initramfs-tools, init-bottom: the initrd's files are about to go, and the live system's root is there and can be written.
case ${1:-} in
prereqs)
    exit 0
    ;;
esac
# shellcheck disable=SC2154 # initramfs-tools'
seed=$rootmnt/var/lib/cloud/seed/nocloud
mkdir -p "$rootmnt/bootpilot" "$rootmnt/etc/bootpilot" "$seed"
cp -a /bootpilot/. "$rootmnt/bootpilot/"
cp -a /etc/bootpilot/. "$rootmnt/etc/bootpilot/"
chmod 700 "$rootmnt/bootpilot" "$rootmnt/etc/bootpilot" "$seed"
mv "$rootmnt/etc/bootpilot/user-data" "$rootmnt/etc/bootpilot/meta-data" "$seed/"
