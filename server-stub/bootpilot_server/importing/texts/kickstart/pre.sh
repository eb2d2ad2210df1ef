#!/bin/sh
# %pre: chooses the disk, or ends the installation. Anaconda reads what is written here before it looks at any disk.
HERE=/etc/bootpilot
mkdir -p /run/bootpilot && chmod 700 /run/bootpilot
"$HERE/call-server.sh" event payload-up
disk=$("$HERE/choose-disk.sh") || exit 1
setsid "$HERE/give-up.sh" --later /tmp/anaconda.log /tmp/storage.log /tmp/program.log </dev/null >/dev/null 2>&1 &
cat >/run/bootpilot/disk.ks <<END
ignoredisk --only-use=$disk
clearpart --all --initlabel --disklabel=gpt --drives=$disk
END
