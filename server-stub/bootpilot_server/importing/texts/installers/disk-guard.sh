#!/bin/sh
# The one disk that an installer may write, by the rule that bootpilot-install follows: exactly one that fits, never the card,
# never data that nobody gave away. For the shells of installers: busybox ash, dash and bash; needs awk, base64, blkid, dd, sed.
#
#   disk-guard.sh choose         prints the disk's name; else lists every disk with what speaks against it, and ends with 1
#   disk-guard.sh unmark DISK    destroys every mark and table on it; nothing else here writes
#
# Which disk is wanted stands in guard.conf beside this file, who the board is in the agent's /bootpilot/boot.json.
set -u
ROOT=${GUARD_ROOT:-}
NOTE=$ROOT/bootpilot/boot.json
LOOK=/run/bootpilot/look

# As sfdisk writes it; see bootpilot_agent/mark.py. A mark's partition begins with this text.
MARK_TYPE=6c2b2f0e-3f2a-4c57-9f4e-b0076b1107ed
MARK_MAGIC='bootpilot mark'
# In the gap before the first partition, which partitioning programs leave alone (they begin at 1 MiB): an install of this node
# began here and did not end, so the next one needs no wipe.
CLAIM_MAGIC='bootpilot claim'
CLAIM_BLOCK=255 # of 4 KiB: the last one of the first MiB

# Not echo: dash's reads backslashes, and what disks and boards say of themselves may hold some.
say() {
    printf '%s\n' "$1"
}

note() {
    sed -n "s/^\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$NOTE" 2>/dev/null
}

# The first line of a small file, without what is no printable ASCII.
text_of() {
    tr '\000' '\n' <"$1" 2>/dev/null | sed -n 1p | tr -c '\040-\176\n' ' ' | sed 's/^ *//; s/ *$//'
}

disk_names() {
    for folder in "$ROOT"/sys/block/*; do
        name=$(basename "$folder")
        case $name in
        loop* | ram* | zram* | dm-* | md[0-9]* | nbd* | sr* | fd[0-9]* | mtdblock* | mmcblk*boot* | mmcblk*rpmb | '*') ;;
        *) say "$name" ;;
        esac
    done
}

# /sys/block/*/removable does not tell a card from a disk: the bus does, and it stands in the path. USB disks are SCSI disks too.
transport_of() {
    case $1 in
    */mmc_host/*) echo mmc ;;
    */usb[0-9]*/*) echo usb ;;
    */ata[0-9]*/*) echo sata ;;
    */nvme*) echo nvme ;;
    */virtio[0-9]*/*) echo virtio ;;
    */host[0-9]*/*) echo scsi ;;
    *) echo other ;;
    esac
}

path_of() {
    found=$(readlink -f "$ROOT/sys/block/$1")
    say "${found#"$(readlink -f "$ROOT/sys")"}"
}

# Page 80h of SCSI's vital product data: four bytes, then the serial number (SPC-4, 7.8.15).
vital_page() {
    dd if="$1/device/vpd_pg80" bs=1 skip=4 count=252 2>/dev/null | tr '\000' '\n' | sed -n 1p | tr -c '\040-\176\n' ' ' |
        sed 's/^ *//; s/ *$//'
}

serial_of() { # disk transport path
    block=$ROOT/sys/block/$1 serial=
    case $2 in
    mmc) serial=$(text_of "$block/device/cid") ;;
    sata | scsi) serial=$(vital_page "$block") ;;
    usb)
        above=$3
        while [ -n "$above" ] && [ ! -e "$ROOT/sys$above/idVendor" ]; do above=${above%/*}; done
        [ -n "$above" ] && serial=$(text_of "$ROOT/sys$above/serial")
        [ -n "$serial" ] || serial=$(vital_page "$block")
        ;;
    nvme)
        serial=$(text_of "$block/device/serial")
        [ -n "$serial" ] || serial=$(text_of "$block/wwid")
        ;;
    *) serial=$(text_of "$block/serial") ;;
    esac
    say "$serial"
}

model_of() { # disk transport
    if [ "$2" = mmc ]; then text_of "$ROOT/sys/block/$1/device/name"; else text_of "$ROOT/sys/block/$1/device/model"; fi
}

size_of() { # bytes; the file counts in 512 whatever the sector's size
    sectors=$(text_of "$ROOT/sys/block/$1/size")
    echo $((${sectors:-0} * 512))
}

sector_of() {
    bytes=$(text_of "$ROOT/sys/block/$1/queue/logical_block_size")
    say "${bytes:-512}"
}

# Bytes as base64, because an installer's shell knows no other way to look at them.
sectors_of() { # disk first-sector count
    dd if="$ROOT/dev/$1" bs="$(sector_of "$1")" skip="$2" count="$3" 2>/dev/null | base64
}

# shellcheck disable=SC2016 # awk's variables
DECODE='
function decode(line,   i, group, k) {
    for (i = 1; i + 3 <= length(line); i += 4) {
        group = 0
        for (k = 0; k < 4; k++) group = group * 64 + value[substr(line, i + k, 1)]
        byte[count++] = int(group / 65536)
        byte[count++] = int(group / 256) % 256
        byte[count++] = group % 256
    }
}
function number(at, size,   sum, k) {
    sum = 0
    for (k = size - 1; k >= 0; k--) sum = sum * 256 + byte[at + k]
    return sum
}
function hex(at, size, step,   text, k) {
    text = ""
    for (k = 0; k < size; k++) text = text sprintf("%02x", byte[step > 0 ? at + k : at + size - 1 - k])
    return text
}
function guid(at) {
    return hex(at, 4, -1) "-" hex(at + 4, 2, -1) "-" hex(at + 6, 2, -1) "-" hex(at + 8, 2, 1) "-" hex(at + 10, 6, 1)
}
BEGIN {
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for (at = 1; at <= 64; at++) value[substr(digits, at, 1)] = at - 1
    count = 0
}
{ decode($0) }'

# One line for each partition: number, first byte, bytes, type, PARTUUID (block/partitions/{msdos,efi}.c). Of a GPT both tables
# are told: a copy of the card whose first table is damaged is a copy of the card.
partitions_of() {
    sector=$(sector_of "$1")
    first=$(sectors_of "$1" 0 1 | awk "$DECODE"'
        END {
            if (byte[510] != 85 || byte[511] != 170) exit
            for (slot = 0; slot < 4; slot++) if (byte[446 + 16 * slot + 4] == 238) { print "gpt"; exit }
            for (slot = 0; slot < 4; slot++) {
                at = 446 + 16 * slot
                if (number(at + 12, 4) == 0) continue
                printf "%d %.0f %.0f %s %s-%02x\n", slot + 1, number(at + 8, 4) * sector, number(at + 12, 4) * sector,
                    hex(at + 4, 1, 1), hex(440, 4, -1), slot + 1
            }
        }' sector="$sector" -)
    if [ "$first" != gpt ]; then
        [ -z "$first" ] || say "$first"
        return 0
    fi
    { gpt_entries "$1" 1 && gpt_entries "$1" $(($(size_of "$1") / sector - 1)); } | sort -u
}

gpt_entries() { # disk sector-of-the-header
    place=$(sectors_of "$1" "$2" 1 | awk "$DECODE"'
        END {
            if (hex(0, 8, 1) != "4546492050415254") exit
            size = number(84, 4)
            total = number(80, 4) * size
            if (size < 128 || total > 1048576) exit
            printf "%.0f %.0f %.0f\n", number(72, 8), size, total
        }')
    [ -n "$place" ] || return 0
    # shellcheck disable=SC2086 # three numbers
    set -- "$1" $place
    count=$((($4 + sector - 1) / sector))
    sectors_of "$1" "$2" "$count" | awk "$DECODE"'
        END {
            for (at = 0; at + size <= total && at + size <= count; at += size) {
                if (hex(at, 16, 1) == "00000000000000000000000000000000" || number(at + 32, 8) > number(at + 40, 8)) continue
                printf "%d %.0f %.0f %s %s\n", at / size + 1, number(at + 32, 8) * sector,
                    (number(at + 40, 8) - number(at + 32, 8) + 1) * sector, guid(at), guid(at + 16)
            }
        }' sector="$sector" size="$3" total="$4" -
}

joined() {
    awk '{ printf "%s%s", (NR > 1 ? "; " : ""), $0 }'
}

lower() {
    say "$1" | tr 'A-F' 'a-f'
}

# Why this is the boot medium or a copy of it; nothing if it is not.
card_reason() { # disk transport serial path
    card=$(lower "$(note card_partuuid)")
    while read -r _ _ _ _ partuuid; do
        [ "$partuuid" = "$card" ] && say "is the boot medium, or a copy of it (PARTUUID $card)" && return
    done <<EOF
$(partitions_of "$1")
EOF
    cid=$(note card_cid) place=$(note card_path)
    if [ -n "$cid" ] && [ "$2" = mmc ] && [ "$3" = "$cid" ]; then
        echo "is the boot medium (CID)"
    elif [ -n "$place" ] && [ "$4" = "$place" ]; then
        echo "is where the boot medium was"
    fi
}

fits() { # text pattern
    # shellcheck disable=SC2254 # the pattern is one
    case $1 in
    $2) return 0 ;;
    esac
    [ -z "$2" ]
}

objections() { # disk transport serial path model size
    card_reason "$1" "$2" "$3" "$4"
    case " $GUARD_TRANSPORTS " in
    *" $2 "*) ;;
    *) say "is $2, not one of $GUARD_TRANSPORTS" ;;
    esac
    if [ "$6" -eq 0 ]; then
        echo "has no medium in it"
    elif [ "$6" -lt $((GUARD_MIN_GB * 1000000000)) ]; then
        say "has less than $GUARD_MIN_GB GB"
    fi
    [ "$(text_of "$ROOT/sys/block/$1/ro")" != 1 ] || echo "is read-only"
    fits "$5" "$GUARD_MODEL" || say "model ${5:-unknown} is not $GUARD_MODEL"
    fits "$3" "$GUARD_SERIAL" || say "serial ${3:-unknown} is not $GUARD_SERIAL"
    fits "$4" "$GUARD_PATH" || say "path $4 is not $GUARD_PATH"
}

# What stands on a disk that only GUARD_WIPE gives away; nothing for a blank one and for one that this node laid out.
held_data() {
    [ "$(claimant "$1")" != "$(note node_id)" ] || return 0
    held=$(blkid -p -o export "$ROOT/dev/$1" 2>/dev/null)
    case $? in
    0) ;;
    2) return ;; # libblkid knows nothing of what is there
    *) echo "something that blkid cannot name" && return ;;
    esac
    parts=$(partitions_of "$1")
    if marks_are_ours "$1" "$parts" || file_marks_it "$1" "$parts"; then
        return
    fi
    say "$held" | sed -n 's/^\(PT\)\{0,1\}TYPE=//p' | sort -u | while read -r kind; do printf '%s ' "$kind"; done
    [ -z "$parts" ] || say "with $(echo "$parts" | wc -l | tr -d ' ') partitions"
}

claimant() {
    dd if="$ROOT/dev/$1" bs=4096 skip="$CLAIM_BLOCK" count=1 2>/dev/null | tr '\000' '\n' |
        sed -n "1{/^$CLAIM_MAGIC\$/!q}; 2p"
}

# There is a mark's partition, and each one is void (never written, or destroyed) or names this node.
marks_are_ours() { # disk partitions
    ours=1
    while read -r _ start _ kind _; do
        [ "$kind" = "$MARK_TYPE" ] || continue
        head=$(dd if="$ROOT/dev/$1" bs=512 skip=$((start / 512)) count=16 2>/dev/null | tr '\000' '\n')
        case $head in
        "$MARK_MAGIC"*"\"node_id\": \"$(note node_id)\""*) ours=0 ;;
        "$MARK_MAGIC"*) return 1 ;;
        *) ours=0 ;;
        esac
    done <<EOF
$2
EOF
    return $ours
}

# The mark of an install that another program laid out is a file; it is read without replaying a journal.
file_marks_it() { # disk partitions
    [ -z "$ROOT" ] || return 1
    for folder in /sys/block/"$1"/*/partition; do
        [ -e "$folder" ] || continue
        device=/dev/$(basename "${folder%/partition}")
        case $(blkid -p -o value -s TYPE "$device" 2>/dev/null) in
        ext4) options=ro,noload ;;
        xfs) options=ro,norecovery ;;
        *) continue ;;
        esac
        modprobe -q ext4 2>/dev/null
        mkdir -p "$LOOK"
        mount -o "$options" "$device" "$LOOK" 2>/dev/null || continue
        grep -q "\"node_id\": *\"$(note node_id)\"" "$LOOK/etc/bootpilot/installed.json" 2>/dev/null
        found=$?
        umount "$LOOK"
        [ "$found" -ne 0 ] || return 0
    done
    return 1
}

choose() {
    if [ ! -s "$NOTE" ] || [ -z "$(note node_id)" ]; then
        echo "there is no /bootpilot/boot.json, so nobody says who this board is and which disk is its card; nothing was written" >&2
        return 1
    fi
    if [ -z "$(note card_partuuid)" ]; then
        echo "/bootpilot/boot.json names no card, so nothing says which disk must never be written; nothing was written" >&2
        return 1
    fi
    fitting='' how_many=0 told=''
    for disk in $(disk_names); do
        path=$(path_of "$disk") && transport=$(transport_of "$path") && size=$(size_of "$disk")
        serial=$(serial_of "$disk" "$transport" "$path") && model=$(model_of "$disk" "$transport")
        against=$(objections "$disk" "$transport" "$serial" "$path" "$model" "$size" | joined)
        told="$told
  $disk ($model, serial $serial, $((size / 1000000)) MB, $transport), $path: ${against:-fits}"
        [ -z "$against" ] || continue
        how_many=$((how_many + 1)) fitting=$disk
    done
    if [ "$how_many" -ne 1 ]; then
        say "$how_many disks fit, and exactly one has to: $GUARD_TRANSPORTS, at least $GUARD_MIN_GB GB; nothing was written$told" >&2
        return 1
    fi
    held=$(held_data "$fitting")
    if [ -n "$held" ] && [ "$GUARD_WIPE" != yes ]; then
        say "$fitting holds data: $held; nothing was written; disk_wipe = true in the profile gives it away$told" >&2
        return 1
    fi
    say "$fitting"
}

zero() { # disk first-sector sectors, of 512 bytes
    dd if=/dev/zero of="$ROOT/dev/$1" bs=512 seek="$2" count="$3" conv=notrunc 2>/dev/null || return 1
}

flush() {
    sync
    [ -b "$ROOT/dev/$1" ] || return 0
    blockdev --flushbufs "$ROOT/dev/$1"
}

# Marks first, and flushed: from then on no loader takes this disk for an installed one. Then what could bring an old system
# back when a new table lies where the old one lay: the beginning and the end of each partition, and the tables at both ends.
unmark() {
    [ -n "$(note node_id)" ] && [ -e "$ROOT/dev/$1" ] || return 1
    end=$(($(size_of "$1") / 512)) parts=$(partitions_of "$1")
    while read -r _ start _ kind _; do
        [ "$kind" != "$MARK_TYPE" ] || zero "$1" $((start / 512)) 16 || return 1
    done <<EOF
$parts
EOF
    flush "$1" || return 1
    while read -r _ start size _; do
        [ -z "$start" ] || wipe_part "$1" $((start / 512)) $((size / 512)) || return 1
    done <<EOF
$parts
$(kernels_partitions "$1")
EOF
    zero "$1" 0 2040 || return 1
    { printf '%s\n%s\n' "$CLAIM_MAGIC" "$(note node_id)" && dd if=/dev/zero bs=4000 count=1 2>/dev/null; } |
        dd of="$ROOT/dev/$1" bs=4096 seek="$CLAIM_BLOCK" conv=notrunc 2>/dev/null || return 1
    zero "$1" $((end - 2048)) 2048 || return 1
    flush "$1" || return 1
    [ ! -b "$ROOT/dev/$1" ] || blockdev --rereadpt "$ROOT/dev/$1"
}

wipe_part() { # disk first-sector sectors
    length=$3
    [ "$length" -le 2048 ] || length=2048
    zero "$1" "$2" "$length" && zero "$1" $(($2 + $3 - length)) "$length"
}

# Logical partitions, too, and what the kernel knows under a table that this program does not.
kernels_partitions() {
    for folder in "$ROOT"/sys/block/"$1"/*/partition; do
        [ -e "$folder" ] || continue
        folder=${folder%/partition}
        say "0 $(($(text_of "$folder/start") * 512)) $(($(text_of "$folder/size") * 512)) kernel"
    done
}

# The install is over: the mark says whose the disk is from here on.
unclaim() {
    zero "$1" $((CLAIM_BLOCK * 8)) 8 && flush "$1"
}

# shellcheck source=/dev/null
. "${GUARD_CONF:-${0%/*}/guard.conf}" || exit 1
case ${1:-} in
choose) choose ;;
unmark | unclaim) "$1" "$2" ;;
partitions) partitions_of "$2" ;;
*)
    echo "usage: disk-guard.sh choose | unmark DISK | unclaim DISK | partitions DISK" >&2
    exit 2
    ;;
esac
