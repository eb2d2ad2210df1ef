"""What makes an installed system's own initrd hand /bootpilot on, which else is lost with the initramfs. No I/O here.

initramfs-tools' /init reads each file in /conf/conf.d as shell before anything else, and /scripts/init-bottom/ORDER last,
just before it moves /run to the new root (initramfs-tools 0.142, `init` and `scripts/functions`). So an archive at the end
of the initrd is enough, and none has to be made anew. Others (dracut, mkinitcpio) have no such folder and never read this.
"""

from bootpilot_agent.cpio import Entry, directory, regular

# Only what klibc's small programs can, too: some initrds have no busybox.
KEEP_NOTE = (
    "(umask 077; mkdir -p /run/bootpilot; for f in /bootpilot/*.json;"
    ' do [ ! -e "$f" ] || cat "$f" >"/run/bootpilot/${f##*/}"; done)'
)
WORD = f"""# By the loader's agent: what it told this boot stays in /run/bootpilot.
if [ -d /bootpilot ]; then
    mkdir -p /scripts/init-bottom
    echo '{KEEP_NOTE}' >>/scripts/init-bottom/ORDER
fi
"""


def initrd_word() -> list[Entry]:
    """Entries for the last archive of an installed system's initrd."""
    return [directory("conf"), directory("conf/conf.d"), regular("conf/conf.d/bootpilot", WORD.encode())]
