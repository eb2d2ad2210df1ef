#!/bin/busybox sh
# shellcheck shell=dash
# Process 1 of the guest that makes disks with other people's data (foreign_disks.py). Its power is cut when it says so.
set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
b=/bin/busybox
trap '$b echo "maker: failed"; $b sleep 1000000' EXIT
$b mkdir -p /proc /sys /dev /run/lock /run/lvm /tmp /mnt /etc/lvm /var/lib /var/lock
$b ln -s /usr/lib/modules /lib/modules
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
[ -b /dev/vda ] || $b mount -t devtmpfs devtmpfs /dev
/sbin/modprobe -a virtio_pci virtio_blk dm-mod md-mod raid1 ext4
n=0
until [ -b /dev/vdd ] || [ $n -ge 60 ]; do
    $b sleep 1
    n=$((n + 1))
done

# A volume group on the one partition of a GPT, as Debian's installer makes it.
printf 'label: gpt\ntype=lvm\n' | sfdisk --quiet /dev/vda
$b sleep 1
pvcreate --yes /dev/vda1
vgcreate rack /dev/vda1
lvcreate --yes --activate n --wipesignatures n --zero n --extents 50%FREE --name data rack

# One half of a mirror, without a partition table.
mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean /dev/vdb missing
mdadm --stop /dev/md0

# A file system in use.
/sbin/mke2fs -q -t ext4 -L wanted /dev/vdc
$b mount -t ext4 /dev/vdc /mnt
$b dd if=/dev/urandom of=/mnt/accounts bs=64k count=64 2>/dev/null
$b sync
$b mkdir /mnt/mail
for number in 1 2 3 4 5 6 7 8; do
    $b cp /mnt/accounts "/mnt/mail/$number"
done
# What fsync brought is in the journal, and not yet at its place.
$b fsync /mnt/mail/8 || $b sync

# A system that sleeps: swap on an MBR partition with the signature of its image (kernel/power/swap.c, HIBERNATE_SIG).
printf 'label: dos\ntype=82\n' | sfdisk --quiet /dev/vdd
$b sleep 1
/sbin/mkswap /dev/vdd1
printf 'S1SUSPEND\0' | $b dd of=/dev/vdd1 bs=1 seek=4086 conv=notrunc 2>/dev/null
# Not `sync`: it would write the file system's own changes to their places.
/sbin/blockdev --flushbufs /dev/vda
/sbin/blockdev --flushbufs /dev/vdb
/sbin/blockdev --flushbufs /dev/vdd
trap - EXIT
$b echo "maker: all disks are made"
$b sleep 1000000
