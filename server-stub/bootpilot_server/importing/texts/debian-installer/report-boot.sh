#!/bin/sh
# Tells the server that this system is up: with the boot's own token, or, where the agent started it without a server, with the
# agent's report first, whose answer brings a token. Ends with 1 where no server answered; systemd then starts it again.
set -u
NOTE=/run/bootpilot/boot.json
REPORT=/run/bootpilot/report.json

note() {
    sed -n "s/^\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$NOTE"
}

answered() { # key, in JSON on one line or many
    sed -n "s/.*\"$1\": *\"\\([^\"]*\\)\".*/\\1/p" /run/bootpilot/answer | sed -n 1p
}

post() { # url file
    certificate=''
    if [ -n "$(note ca)" ]; then
        certificate=/run/bootpilot/ca.pem
        printf '%b' "$(note ca)" >"$certificate"
    fi
    wget --quiet --timeout=30 --tries=1 --output-document=/run/bootpilot/answer ${certificate:+--ca-certificate="$certificate"} \
        --header="Authorization: Bearer $token" --header='Content-Type: application/json' --post-file="$2" "$1"
}

server=$(note server) boot=$(note boot_id) token=$(note token)
[ -n "$server" ] || exit 0
if [ -s "$REPORT" ]; then
    post "$server/v1/boot" "$REPORT" || exit 1
    boot=$(answered boot_id) token=$(answered token)
fi
at_ms=$(sed 's/^\([0-9]*\)\.\([0-9][0-9]\).*/\1\20/; q' /proc/uptime)
echo "{\"version\": 1, \"events\": [{\"source\": \"system\", \"seq\": 1, \"name\": \"payload-up\", \"at_ms\": $at_ms, \"data\": {}}]}" \
    >/run/bootpilot/events
post "$server/v1/boots/$boot/events" /run/bootpilot/events
