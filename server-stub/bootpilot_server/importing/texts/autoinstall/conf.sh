# initramfs-tools reads every file of /conf/conf.d at its start: this one adds a script to those that run last.
# shellcheck shell=sh disable=SC2016 # what is added is read later
echo '/scripts/init-bottom/bootpilot "$@"' >>/scripts/init-bottom/ORDER
