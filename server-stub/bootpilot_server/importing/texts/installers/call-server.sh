#!/bin/sh
# What an installer tells the boot server, by the agent's /bootpilot/boot.json. For the shells of installers; needs curl or GNU
# wget, sed and tr. Nothing here ever makes an installation wait for long, or fail.
#
#   call-server.sh event NAME [KEY=VALUE...]    kept and sent with the next one where the server does not answer
#   call-server.sh log FILE...                  the files, each after a line with its name
#   call-server.sh failed WHY                   this installation is over, and it failed
#   call-server.sh done                         this installation is over; tried for some minutes
#
# The log is one for the whole installation: the server knows how much it has by the offset that is kept here.
set -u
ROOT=${CALL_ROOT:-}
NOTE=$ROOT/bootpilot/boot.json
STATE=${CALL_STATE:-$ROOT/run/bootpilot}
TIMEOUT_S=20
MOST_EVENTS=200
MOST_LOG_BYTES=1000000
DONE_PAUSES_S=${CALL_PAUSES_S:-2 5 10 20 30 60 60 120 120}

note() {
    sed -n "s/^\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$NOTE" 2>/dev/null
}

# Text as it may stand between the quotes of JSON.
quoted() {
    printf '%s' "$1" | tr -c '\040-\176' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

members() {
    comma=''
    for pair in "$@"; do
        value=${pair#*=}
        case $value in
        '' | *[!0-9]* | 0?* | ????????????????*) value="\"$(quoted "$value")\"" ;;
        esac
        printf '%s"%s": %s' "$comma" "${pair%%=*}" "$value"
        comma=', '
    done
}

post() { # what file type
    url=$(note server)/v1/boots/$(note boot_id)/$1
    authorization="Authorization: Bearer $(note token)"
    certificate=''
    if [ -n "$(note ca)" ]; then
        certificate=$STATE/ca.pem
        [ -s "$certificate" ] || printf '%b' "$(note ca)" >"$certificate"
    fi
    if command -v curl >/dev/null 2>&1; then
        curl --silent --show-error --fail --max-time "$TIMEOUT_S" ${certificate:+--cacert "$certificate"} \
            --header "$authorization" --header "Content-Type: $3" --data-binary "@$2" --output /dev/null "$url"
    else
        wget --quiet --output-document=/dev/null --timeout="$TIMEOUT_S" --tries=1 ${certificate:+--ca-certificate="$certificate"} \
            --header="$authorization" --header="Content-Type: $3" --post-file="$2" "$url"
    fi
}

# Two programs of one installer may speak at once. Whoever died with the lock does not silence the others.
locked() {
    tries=0
    until mkdir "$STATE/lock" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || break
        sleep 1
    done
    "$@"
    result=$?
    rmdir "$STATE/lock" 2>/dev/null
    return "$result"
}

uptime_ms() {
    sed 's/^\([0-9]*\)\.\([0-9][0-9]\).*/\1\20/; q' /proc/uptime
}

add_event() { # name data
    seq=$(($(cat "$STATE/seq" 2>/dev/null || echo 0) + 1))
    echo "$seq" >"$STATE/seq"
    # Not echo: dash's reads backslashes.
    printf '{"source": "installer", "seq": %s, "name": "%s", "at_ms": %s, "data": { %s }}\n' "$seq" "$1" "$(uptime_ms)" "$2" \
        >>"$STATE/events"
    send_events
}

send_events() {
    [ -s "$STATE/events" ] || return 0
    tail -n "$MOST_EVENTS" "$STATE/events" >"$STATE/events.new" && mv "$STATE/events.new" "$STATE/events"
    {
        echo '{"version": 1, "events": ['
        sed '$!s/$/,/' "$STATE/events"
        echo ']}'
    } >"$STATE/body"
    post events "$STATE/body" application/json && : >"$STATE/events"
}

# Cut at its beginning, where a log is longest and tells least of its end.
send_log() {
    offset=$(cat "$STATE/offset" 2>/dev/null || echo 0)
    for file in "$@"; do
        [ -f "$file" ] || continue
        { echo "==> $file <==" && tail -c "$MOST_LOG_BYTES" "$file" && echo; } >"$STATE/piece"
        post "log?source=installer&offset=$offset" "$STATE/piece" text/plain || return 1
        offset=$((offset + $(wc -c <"$STATE/piece")))
        echo "$offset" >"$STATE/offset"
    done
}

send_failed() {
    printf '{"version": 1, "why": "%s"}\n' "$(quoted "$1" | cut -c 1-1900)" >"$STATE/failed"
    insist failed "$STATE/failed"
}

send_done() {
    printf '{"version": 1, "install_id": "%s"}\n' "$(note install_id)" >"$STATE/done"
    insist 'done' "$STATE/done"
}

insist() { # what file
    for pause_s in $DONE_PAUSES_S; do
        post "$1" "$2" application/json && return
        sleep "$pause_s"
    done
    return 1
}

mkdir -p "$STATE" && chmod 700 "$STATE"
if [ ! -s "$NOTE" ]; then
    echo "call-server.sh: there is no $NOTE, so there is no server to tell" >&2
    exit 1
fi
what=${1:-}
[ $# -eq 0 ] || shift
case $what in
event)
    name=$1
    shift
    locked add_event "$name" "$(members "$@")"
    ;;
flush) locked send_events ;;
log) locked send_log "$@" ;;
failed) send_failed "$1" ;;
done) send_done ;;
*)
    echo "usage: call-server.sh event NAME [KEY=VALUE...] | flush | log FILE... | failed WHY | done" >&2
    exit 2
    ;;
esac
