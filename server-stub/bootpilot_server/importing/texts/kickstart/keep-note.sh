#!/bin/sh
# dracut, pre-pivot, sourced: the agent's note of this boot lives in the initramfs, which is about to go.
if [ -d /bootpilot ]; then
    mkdir -p /run/bootpilot
    cp -a /bootpilot/. /run/bootpilot/
    chmod 700 /run/bootpilot
fi
