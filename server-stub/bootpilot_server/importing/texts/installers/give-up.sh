#!/bin/sh
# Ends an installation that failed, or that nobody would ever end: an unattended installer that stands before a question stands
# there for good. The board asks the server again after it.
#
#   give-up.sh WHY LOG...           now
#   give-up.sh --later LOG...       unless the installation is over GIVE_UP_S seconds after the installer's start
set -u
HERE=${0%/*}
STATE=/run/bootpilot
# shellcheck source=/dev/null
. "$HERE/mark.conf" || exit 1

why=$1
shift
mkdir -p "$STATE"
if [ "$why" = --later ]; then
    why="the installer was not done after $GIVE_UP_S s"
    while read -r uptime _ </proc/uptime && [ "${uptime%%.*}" -lt "$GIVE_UP_S" ]; do
        [ ! -e "$STATE/over" ] || exit 0
        sleep 10
    done
fi
[ ! -e "$STATE/over" ] || exit 0
: >"$STATE/over"
echo "bootpilot: $why; this board asks the server again in a minute" >/dev/console
"$HERE/call-server.sh" event failed stage=installer "message=$why"
"$HERE/call-server.sh" log "$@"
"$HERE/call-server.sh" failed "$why"
sleep 60
sync
reboot
sleep 60
reboot -f
