#!/bin/sh
# Runs in new user, mount and process namespaces (see chroot.py), prepares ROOT and becomes COMMAND, a chroot into it.
# usage: chroot.sh HANDLER ROOT WORK PROBE [NAME=VALUE...] COMMAND...
#   HANDLER  qemu-user's for ROOT's architecture, e.g. qemu-aarch64
#   WORK     a folder to mount at ROOT/work, or - for none
#   PROBE    a program in ROOT, with its arguments in the same word, that tells whether the architecture runs here; exit codes 126 and 127 say no
set -eu
handler=$1 root=$2 work=$3 probe=$4
shift 4

mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
# Not the usual mode 1777: there nobody may open another's file with O_CREAT (fs/namei.c, may_create_in_sticky), and the
# machine's /dev/null belongs to none of this namespace's users.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
: >"$root/dev/null"
mount --bind /dev/null "$root/dev/null"
mount -t tmpfs tmpfs "$root/tmp"
[ "$work" = - ] || mount --bind "$work" "$root/work"

runs() {
    code=0
    # shellcheck disable=SC2086 # words
    chroot "$root" $probe >/dev/null 2>&1 || code=$?
    [ "$code" -lt 126 ]
}

register_here() {
    rules=/usr/lib/binfmt.d/$handler.conf
    [ -r "$rules" ] && mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && cat "$rules" >/proc/sys/fs/binfmt_misc/register
}

if ! runs; then
    register_here 2>/dev/null || :
    runs || {
        echo "this machine cannot run the programs in $root: binfmt_misc has no handler $handler" >&2
        echo "  hint: install qemu-user-static (Debian 13: qemu-user-binfmt); if it is, systemctl restart systemd-binfmt" >&2
        exit 1
    }
fi
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 "$@"
