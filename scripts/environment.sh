# shellcheck shell=bash
# The ground under every script: the Debian packages and the Python environment that a purpose needs.
# Sourced, not run. `bootpilot_environment PURPOSE` (server, build, demo or test) installs what is missing, says what and
# why, and exports BOOTPILOT_PYTHON, PYTHONPATH and PATH. A second call finds all in place and touches no network.
# `bootpilot_answer_help MODULE "$@"` goes before it.
# It never changes apt's or pip's configuration.

bootpilot_root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

bootpilot_say() { printf 'bootpilot: %s\n' "$*" >&2; }

bootpilot_die() { # MESSAGE [HINT]
    printf 'bootpilot: error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  hint: %s\n' "$2" >&2
    return 1
}

# --help and --version touch nothing: whoever only looks must not find packages installed afterwards. Ends the script if
# they are asked for, anywhere in its arguments. MODULE is the program whose own help it is; without one, and where Python is
# missing or too old, the comment at the script's head says what it does.
bootpilot_answer_help() { # MODULE ARGUMENTS...
    local module=$1 word
    shift
    for word; do
        case $word in
            --) return ;;
            --version)
                sed -n 's/^__version__ = "\(.*\)"$/bootpilot \1/p' "$bootpilot_root/agent/bootpilot_agent/__init__.py"
                exit
                ;;
            -h | --help)
                if [ -n "$module" ] && bootpilot_python_fits; then bootpilot_run_bare "$module" "$@"; fi
                sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"
                exit
                ;;
        esac
    done
}

# MODULE needs nothing but Python's own library for these arguments.
bootpilot_run_bare() { # MODULE ARGUMENTS...
    local module=$1
    shift
    PYTHONPATH=$(bootpilot_python_path) PATH=$PATH:/usr/sbin:/sbin exec python3 -P -B -m "$module" "$@"
}

bootpilot_python_fits() { python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

bootpilot_all_there() { # PROGRAMS...
    local name
    for name; do command -v "$name" >/dev/null || return 1; done
}

bootpilot_python_path() { printf '%s\n' "$bootpilot_root:$bootpilot_root/agent:$bootpilot_root/server-stub"; }

# Boards are simulated and loaders built on x86_64 only, and the loader is made of Debian's packages, so the machine must be
# able to name a Debian mirror: Debian itself always can. A server runs wherever its own packages can be installed.
bootpilot_check_system() { # PURPOSE
    local id='' version='' name=''
    if [ -r /etc/os-release ]; then
        # shellcheck source=/dev/null
        IFS='|' read -r id version name < <(. /etc/os-release && printf '%s|%s|%s\n' "${ID:-}" "${VERSION_ID:-}" "${PRETTY_NAME:-}")
    fi
    if ! command -v apt-get >/dev/null; then
        bootpilot_die "${name:-this system} has no apt-get; Bootpilot's scripts install Debian packages" "use a Debian 12 machine or container"
        return 1
    fi
    [ "$1" != server ] || return 0
    if [ "$(uname -m)" != x86_64 ]; then
        bootpilot_die "this is a $(uname -m) machine; building and simulating run on x86_64 only" "the boot server runs here too: scripts/bootpilot"
        return 1
    fi
    case "$id:$version" in debian:12 | debian:13) return 0 ;; esac
    if [ -z "${BOOTPILOT_DEBIAN_MIRROR:-}" ]; then
        bootpilot_die "${name:-this system} is not Debian 12 or 13, so its package sources cannot give the loader its packages" \
            "name a Debian mirror: BOOTPILOT_DEBIAN_MIRROR=http://MIRROR/debian $0"
        return 1
    fi
}

# Lines of packages.txt for a purpose -> "package<TAB>reason".
bootpilot_packages_for() { # PURPOSE
    awk -F '\t' -v purpose="$1" '
        /^[[:space:]]*(#|$)/ { next }
        NF < 3 { print $1 "\t" $2; next }
        (" " $2 " ") ~ (" " purpose " ") || $2 == "*" { print $1 "\t" $3 }' "$bootpilot_root/scripts/packages.txt"
}

bootpilot_missing_packages() { # PURPOSE
    local wanted
    wanted=$(bootpilot_packages_for "$1")
    # A package counts as there when dpkg has configured it; a virtual name counts when an installed package provides it.
    awk -F '\t' 'NR == FNR { if ($2 == "installed") { there[$1]; n = split($3, p, /, */); for (i = 1; i <= n; i++) { sub(/ .*/, "", p[i]); there[p[i]] } } next }
        !($1 in there)' <(dpkg-query -W -f '${Package}\t${db:Status-Status}\t${Provides}\n') <(printf '%s\n' "$wanted")
}

bootpilot_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        bootpilot_die "installing packages needs root, and there is no sudo" "run as root: $*"
    fi
}

# DPkg::Lock::Timeout does not cover the lock on the lists, which a fresh machine's own daily update holds for a while.
bootpilot_update_lists() { # APT-GET WITH ITS OPTIONS
    local tries=30 said
    while ! said=$(bootpilot_as_root "$@" update 2>&1); do
        tries=$((tries - 1))
        if [ "$tries" -eq 0 ] || ! grep -q 'lists/lock' <<<"$said"; then
            printf '%s\n' "$said"
            return 1
        fi
        bootpilot_say "another program updates apt's lists; waiting for it"
        sleep 10
    done
}

bootpilot_install_packages() { # PURPOSE
    local missing names started=$SECONDS
    missing=$(bootpilot_missing_packages "$1") || return 1
    [ -n "$missing" ] || return 0
    bootpilot_say "these Debian packages are missing and will be installed:"
    awk -F '\t' '{ printf "  %-26s %s\n", $1, $2 }' <<<"$missing" >&2
    mapfile -t names < <(cut -f 1 <<<"$missing")
    [ "$(id -u)" -eq 0 ] || bootpilot_say "apt-get needs root: sudo may ask for your password"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -q)
    if ! { bootpilot_update_lists "${apt[@]}" && bootpilot_as_root "${apt[@]}" install -y --no-install-recommends "${names[@]}"; } >&2; then
        bootpilot_die "apt-get could not install: ${names[*]}" "see apt-get's message above; is the network up?"
        return 1
    fi
    bootpilot_say "Debian packages installed in $((SECONDS - started)) s"
}

# setuptools and wheel come first, by their pinned hashes: netifaces is source only and is built with exactly these.
bootpilot_fill_venv() { # VENV LOCK
    local pip=("$1/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --retries 5)
    rm -rf -- "$1" &&
        /usr/bin/python3 -m venv "$1" &&
        "${pip[@]}" --no-deps -r <(awk '/^[a-z0-9]/ { keep = /^(packaging|setuptools|wheel)==/ } keep' "$2") &&
        "${pip[@]}" --no-build-isolation --use-pep517 -r "$2"
}

# The same folder as initramfs/cache.py: a relative XDG_CACHE_HOME does not count, and ~ is known without HOME too (a service).
bootpilot_cache() {
    case "${XDG_CACHE_HOME:-}" in
        /*) printf '%s/bootpilot\n' "$XDG_CACHE_HOME" ;;
        *) printf '%s/bootpilot\n' ~/.cache ;;
    esac
}

bootpilot_python() {
    local lock=$bootpilot_root/scripts/requirements.lock cache version key venv started=$SECONDS
    cache=$(bootpilot_cache)
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))') || {
        bootpilot_die "/usr/bin/python3 is ${version:-missing}; Bootpilot needs 3.11 or newer" "Debian 12 and Ubuntu 24.04 have it"
        return 1
    }
    key=$({ cat -- "$lock" && printf '%s' "$version"; } | sha256sum | cut -c 1-16)
    venv=$cache/venv-$key
    mkdir -p -- "$cache"
    # The stamp is written last: an environment whose making was interrupted is made again. The lock is for two scripts at once.
    if [ ! -e "$venv/complete" ]; then
        exec {bootpilot_lock}>"$venv.lock"
        flock "$bootpilot_lock"
        if [ ! -e "$venv/complete" ]; then
            bootpilot_say "making the Python environment $venv"
            if ! bootpilot_fill_venv "$venv" "$lock" >&2; then
                bootpilot_die "pip could not install scripts/requirements.lock" "see pip's message above; is the network up?"
                return 1
            fi
            touch -- "$venv/complete"
            bootpilot_say "Python environment ready in $((SECONDS - started)) s"
        fi
        exec {bootpilot_lock}>&-
    fi
    export BOOTPILOT_PYTHON=$venv/bin/python
}

bootpilot_environment() { # PURPOSE
    case "${1:-}" in
        server | build | demo | test) ;;
        *)
            bootpilot_die "bootpilot_environment: purpose is one of server, build, demo, test, got '${1:-}'"
            return 1
            ;;
    esac
    bootpilot_check_system "$1" || return 1
    # Debian keeps sfdisk, depmod and mkfs.fat where an ordinary user's PATH does not look.
    export PATH=$PATH:/usr/sbin:/sbin
    bootpilot_install_packages "$1" || return 1
    bootpilot_python || return 1
    PYTHONPATH=$(bootpilot_python_path)
    export PYTHONPATH
}
