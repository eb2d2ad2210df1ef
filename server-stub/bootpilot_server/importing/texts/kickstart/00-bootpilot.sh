#!/bin/sh
# dracut, pre-pivot, sourced: the initrd's files are about to go, and /run goes on.
mkdir -p /run/bootpilot-files/etc
chmod 700 /run/bootpilot-files
cp -a /bootpilot /run/bootpilot-files/
cp -a /etc/bootpilot /run/bootpilot-files/etc/
