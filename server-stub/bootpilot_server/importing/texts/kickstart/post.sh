#!/bin/sh
# %post, outside of the new root: what it needs to be started by the agent and to tell of its boots, then the mark.
HERE=/etc/bootpilot
TARGET=/mnt/sysroot
[ -d "$TARGET/etc" ] || TARGET=/mnt/sysimage

install_report() {
    module=$TARGET/usr/lib/dracut/modules.d/95bootpilot
    mkdir -p "$module" "$TARGET/usr/lib/bootpilot"
    cp "$HERE/keep-note.sh" "$HERE/module-setup.sh" "$module/"
    cp "$HERE/report-boot.sh" "$TARGET/usr/lib/bootpilot/report-boot"
    cp "$HERE/bootpilot-report.service" "$TARGET/etc/systemd/system/bootpilot-report.service"
    chmod 755 "$module"/*.sh "$TARGET/usr/lib/bootpilot/report-boot"
    chmod 644 "$TARGET/etc/systemd/system/bootpilot-report.service"
    chroot "$TARGET" systemctl enable bootpilot-report.service
}

# Boot entries take their options from this file (kernel-install(8)); the installer's own command line is none for a disk.
write_entries() {
    mkdir -p "$TARGET/etc/kernel"
    root=$("$HERE/leave-mark.sh" --root "$TARGET") || return 1
    console=$(sed -n 's/.*\(console=[^ ]*\).*/\1/p' /proc/cmdline)
    echo "root=PARTUUID=$root ro $console" >"$TARGET/etc/kernel/cmdline"
    for folder in "$TARGET"/lib/modules/*/; do
        version=$(basename "$folder")
        chroot "$TARGET" kernel-install add "$version" "/lib/modules/$version/vmlinuz" || return 1
    done
}

"$HERE/call-server.sh" event installing stage=written
install_report
write_entries || { "$HERE/give-up.sh" "the boot entries could not be written" /tmp/bootpilot-post.log && exit 1; }
"$HERE/call-server.sh" event installing stage=configured
sync
exec "$HERE/leave-mark.sh" "$TARGET" /tmp/anaconda.log /tmp/storage.log /tmp/program.log /tmp/packaging.log /tmp/bootpilot-post.log
