#!/bin/sh
# late-commands: what the installed system needs to be started by the agent and to tell of its boots, then the mark. What the
# installer writes after this are its own logs.
HERE=/etc/bootpilot
TARGET=/target

install_report() {
    mkdir -p $TARGET/usr/lib/bootpilot $TARGET/etc/initramfs-tools/scripts/init-bottom
    cp "$HERE/report-boot.sh" $TARGET/usr/lib/bootpilot/report-boot
    cp "$HERE/keep-note.sh" $TARGET/etc/initramfs-tools/scripts/init-bottom/bootpilot
    cp "$HERE/bootpilot-report.service" $TARGET/etc/systemd/system/bootpilot-report.service
    chmod 755 $TARGET/usr/lib/bootpilot/report-boot $TARGET/etc/initramfs-tools/scripts/init-bottom/bootpilot
    chmod 644 $TARGET/etc/systemd/system/bootpilot-report.service
    curtin in-target --target=$TARGET -- systemctl enable bootpilot-report.service
    curtin in-target --target=$TARGET -- update-initramfs -u -k all
}

"$HERE/call-server.sh" event installing stage=written
install_report
"$HERE/call-server.sh" event installing stage=configured
sync
exec "$HERE/leave-mark.sh" $TARGET /var/log/installer/subiquity-server-debug.log /var/log/installer/curtin-install.log
