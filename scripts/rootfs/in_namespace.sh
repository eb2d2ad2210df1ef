#!/bin/sh
# Runs COMMAND as root of namespaces of its own that have every user and group a Debian system has, and where programs of a
# foreign architecture run; nothing is mounted or registered for the machine.
# usage: in_namespace.sh HANDLER COMMAND...
#   HANDLER  qemu-user's for the architecture, e.g. qemu-aarch64; - for this machine's own
set -eu

if [ "${1:-}" = --inside ]; then
    handler=$2
    shift 2
    # Since Linux 6.7 (21ca59b365c0 "binfmt_misc: enable sandboxed mounts") a namespace can have handlers of its own.
    if [ "$handler" != - ] && [ ! -e "/proc/sys/fs/binfmt_misc/$handler" ]; then
        rules=/usr/lib/binfmt.d/$handler.conf
        if ! { [ -r "$rules" ] && mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && cat "$rules" >/proc/sys/fs/binfmt_misc/register; }; then
            echo "this machine cannot run programs of that architecture: binfmt_misc has no handler $handler" >&2
            echo "  hint: install qemu-user-static (Debian 13: qemu-user-binfmt); if it is, systemctl restart systemd-binfmt" >&2
            exit 1
        fi
    fi
    exec "$@"
fi

set -- --mount --pid --fork --kill-child sh "$0" --inside "$@"
# An ordinary user's range of IDs is in /etc/subuid, and newuidmap (package uidmap) maps it.
[ "$(id -u)" = 0 ] || exec unshare --map-root-user --map-auto "$@"

# Root needs no such range: every ID stands for itself. Only a process outside can write this map, so one waits for it.
before=$(readlink /proc/$$/ns/user)
(
    tries=200
    while [ "$(readlink /proc/$$/ns/user)" = "$before" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || exit
        sleep 0.05
    done
    echo 0 0 65536 >/proc/$$/gid_map
    echo 0 0 65536 >/proc/$$/uid_map
) &
# shellcheck disable=SC2016 # for the inner shell to expand
exec unshare --user sh -c '
    tries=200
    until [ "$(id -u)" = 0 ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "no users in the new namespace" >&2; exit 1; }
        sleep 0.05
    done
    exec unshare "$@"' sh "$@"
