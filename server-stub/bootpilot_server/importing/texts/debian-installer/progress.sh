#!/bin/sh
# Tells the server how far the installation is, by what the installer's menu writes into its log; and ends one that nobody would
# ever end: an unattended installer that stands before a question stands there for good.
ROOT=${PROGRESS_ROOT:-}
HERE=$ROOT/etc/bootpilot
STATE=$ROOT/run/bootpilot
LOG=$ROOT/var/log/syslog
PAUSE_S=5
# The installer writes a line every few seconds while it works, on slow boards every few minutes.
STILL_S=1800
# shellcheck source=/dev/null
. "$HERE/settings.conf"

stages() {
    sed -n "s/.*main-menu\\[[0-9]*\\]: INFO: Menu item '\\([a-z0-9.+-]*\\)' selected.*/\\1/p" "$LOG" 2>/dev/null
}

failed_stage() {
    sed -n "s/.*main-menu\\[[0-9]*\\]: WARNING \\*\\*: Configuring '\\([a-z0-9.+-]*\\)' failed with error code \\([0-9]*\\).*/\\1 (\\2)/p" \
        "$LOG" 2>/dev/null | tail -n 1
}

tell_new_stages() {
    now=$(stages | wc -l)
    [ "$now" -gt "$told" ] || return 0
    for stage in $(stages | sed -n "$((told + 1)),\$p"); do
        "$HERE/call-server.sh" event installing "stage=$stage"
    done
    told=$now
}

give_up() {
    [ ! -e "$STATE/over" ] || exit 0
    : >"$STATE/over"
    "$HERE/call-server.sh" event failed "stage=$(stages | tail -n 1)" "message=$1"
    "$HERE/call-server.sh" log "$LOG" "$ROOT/var/log/partman"
    "$HERE/call-server.sh" failed "$1"
    echo "bootpilot: $1; this board asks the server again in a minute" >"$ROOT/dev/console"
    sleep 60
    sync
    reboot
    sleep 30
    reboot -f
}

uptime_s() {
    read -r uptime _ </proc/uptime
    echo "${uptime%%.*}"
}

told=0 length=0 changed_s=$(uptime_s)
"$HERE/call-server.sh" event payload-up
while [ ! -e "$STATE/over" ]; do
    sleep "$PAUSE_S"
    tell_new_stages
    [ ! -s "$STATE/events" ] || "$HERE/call-server.sh" flush
    failure=$(failed_stage)
    [ -z "$failure" ] || give_up "the installer's step $failure failed"
    now_s=$(uptime_s)
    longer=$(wc -c <"$LOG" 2>/dev/null)
    [ "$longer" = "$length" ] || changed_s=$now_s length=$longer
    [ $((now_s - changed_s)) -lt "$STILL_S" ] ||
        give_up "nothing happened for $STILL_S s in the step $(stages | tail -n 1): does it ask a question on its console?"
    [ "$now_s" -lt "$GIVE_UP_S" ] || give_up "the installer was not done after $GIVE_UP_S s, in the step $(stages | tail -n 1)"
done
