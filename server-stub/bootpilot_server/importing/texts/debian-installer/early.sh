#!/bin/sh
# preseed/early_command: the network as the agent had it, and a program that tells how far the installation is. Runs before the
# installer's own network configuration, so nothing here reaches the server yet.
#
# By DHCP the board keeps its address by asking with the agent's client-id. An address that a person set on the card is known to
# boot.json alone: the preseed file is made before the agent says which one it uses, so it is answered here.
ROOT=${EARLY_ROOT:-}
HERE=$ROOT/etc/bootpilot
NOTE=$ROOT/bootpilot/boot.json
STATE=$ROOT/run/bootpilot

note() {
    sed -n "s/^\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$NOTE" 2>/dev/null
}

answer() { # question type value
    echo "d-i $1 $2 $3" >>"$STATE/answers"
}

interface_of() { # MAC
    for folder in "$ROOT"/sys/class/net/*; do
        [ "$(cat "$folder/address" 2>/dev/null)" = "$1" ] && [ -e "$folder/device" ] && basename "$folder" && return
    done
}

# 20 -> 255.255.240.0
netmask_of() {
    bits=$1 mask=''
    for _ in 1 2 3 4; do
        part=$((bits > 8 ? 8 : bits < 0 ? 0 : bits))
        mask=$mask${mask:+.}$((256 - (1 << (8 - part))))
        bits=$((bits - 8))
    done
    echo "$mask"
}

answer_static() {
    address=$(note address)
    answer netcfg/disable_autoconfig boolean true
    case $address in
    *:*) answer netcfg/get_ipaddress string "$address" ;;
    *)
        answer netcfg/get_ipaddress string "${address%/*}"
        answer netcfg/get_netmask string "$(netmask_of "${address#*/}")"
        ;;
    esac
    answer netcfg/get_gateway string "$(note gateway)"
    answer netcfg/get_nameservers string "$(sed -n 's/^"dns": \[\(.*\)\].*/\1/p' "$NOTE" | tr -d '",')"
    answer netcfg/confirm_static boolean true
}

# netcfg starts /sbin/udhcpc and has no word for a client-id; busybox's own would be the MAC.
keep_client_id() {
    id=$(note client_id)
    [ -n "$id" ] && [ -x "$ROOT/sbin/udhcpc" ] || return 0
    rm -f "$ROOT/sbin/udhcpc"
    printf '#!/bin/sh\nexec busybox udhcpc -C -x 0x3d:%s "$@"\n' "$id" >"$ROOT/sbin/udhcpc"
    chmod 755 "$ROOT/sbin/udhcpc"
}

mkdir -p "$STATE" && chmod 700 "$STATE" && : >"$STATE/answers"
udevadm settle --timeout=30 2>/dev/null
interface=$(interface_of "$(note mac)")
[ -z "$interface" ] || answer netcfg/choose_interface select "$interface"
case $(note method) in
static) answer_static ;;
dhcp) keep_client_id ;;
esac
debconf-set-selections "$STATE/answers"
# Not a child that log-output or debconf would wait for.
"$HERE/progress.sh" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- &
exit 0
