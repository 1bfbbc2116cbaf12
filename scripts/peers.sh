#!/bin/sh
# Bring what pipit is compared with, nats-server and the `nats` command-line tool, and tools that read
# the monitoring pages of either.
#
# usage: scripts/peers.sh [--update]
#
# They go to build/peers/bin, or where PIPIT_PEERS_DIR says. What is there already stays, unless
# --update asks for the newest again.
#
#   nats-server  the newest, built with the Go toolchain where there is one; otherwise, or if that
#                fails, Debian's package, unpacked and not installed: its service would take port 4222
#   nats         the newest, built with the Go toolchain; otherwise the version pinned in scripts/peers/,
#                which builds where the newest cannot be listed or needs a newer Go
#   tokens       what makes keys and tokens for the tests of operator mode, of NATS's own libraries;
#                built with the Go toolchain as pinned in tests/tokens/go.mod
#   nk           the newest, which makes keys and signs with them; built with the Go toolchain
#   nsc          what operators make keys and tokens with, as pinned in scripts/peers/nsc/go.mod
#   nats-top, prometheus-nats-exporter
#                the newest, built with the Go toolchain
#
# Exit status: 0 if nats-server is there; 1 if it could not be brought, or, under CI (the variable CI is
# not empty), if anything is missing. What else is missing only costs a user the tests that use it.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
bin=${PIPIT_PEERS_DIR:-$root/build/peers/bin}
update=no
case ${1:-} in
"") ;;
--update) update=yes ;;
*)
    echo "usage: scripts/peers.sh [--update]" >&2
    exit 2
    ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$bin"

say() {
    echo "peers: $*"
}

# A binary counts as there if it runs.
works() {
    "$bin/$1" --version >/dev/null 2>&1
}

have_go() {
    command -v go >/dev/null 2>&1
}

# Run a command; its output is shown, indented, only if it fails.
attempt() {
    if "$@" >"$scratch/output" 2>&1; then
        return 0
    fi
    sed 's/^/    /' "$scratch/output" | tail -n 8
    return 1
}

# The same where something is fetched, which may fail once and not again.
fetch() {
    attempt "$@" || { sleep 2; attempt "$@"; } || { sleep 10; attempt "$@"; }
}

# Build into a scratch folder first, so that a failure leaves what was there.
go_install() {
    fetch env GOBIN="$scratch" go install "$1" && mv "$scratch/$2" "$bin/$2"
}

server_from_go() {
    have_go || return 1
    say "building the newest nats-server"
    go_install github.com/nats-io/nats-server/v2@latest nats-server ||
        { say "that failed with $(go version)"; return 1; }
}

# Much older: good enough to look at, and not to be compared with.
server_from_debian() {
    [ -z "${CI:-}" ] || return 1
    if ! command -v apt-get >/dev/null 2>&1; then
        say "no Debian package either: apt-get is missing"
        return 1
    fi
    say "fetching Debian's nats-server"
    (cd "$scratch" && attempt apt-get download nats-server) ||
        { say "that failed; does \`apt-get update\` help?"; return 1; }
    attempt dpkg-deb -x "$scratch"/nats-server_*.deb "$scratch/package" || return 1
    mv "$scratch/package/usr/sbin/nats-server" "$bin/nats-server" 2>/dev/null ||
        mv "$scratch/package/usr/bin/nats-server" "$bin/nats-server"
}

cli_newest() {
    say "building the newest nats"
    go_install github.com/nats-io/natscli/nats@latest nats
}

cli_pinned() {
    say "building nats as pinned in scripts/peers/go.mod"
    # -C would need Go 1.20; a copy keeps go from touching the tree.
    cp "$root"/scripts/peers/*.* "$scratch/"
    (cd "$scratch" && fetch env GOFLAGS=-mod=readonly go build -o "$scratch/nats" \
        github.com/nats-io/natscli/nats) && mv "$scratch/nats" "$bin/nats"
}

# An update that fails leaves what was there rather than something older.
keep() {
    works "$1" && say "keeping the $1 that is there"
}

bring_server() {
    if [ $update = no ] && works nats-server; then
        return 0
    fi
    server_from_go || keep nats-server || server_from_debian || return 1
    works nats-server || { say "nats-server was brought but does not run"; return 1; }
}

bring_cli() {
    if [ $update = no ] && works nats; then
        return 0
    fi
    if ! have_go; then
        say "nats is missing: it needs the Go toolchain"
        return 1
    fi
    cli_newest || keep nats || cli_pinned || return 1
    works nats || { say "nats was brought but does not run"; return 1; }
}

bring_nk() {
    if [ $update = no ] && [ -x "$bin/nk" ]; then
        return 0
    fi
    have_go || { say "nk is missing: it needs the Go toolchain"; return 1; }
    say "building the newest nk"
    go_install github.com/nats-io/nkeys/nk@latest nk || [ -x "$bin/nk" ]
}

# build_pinned NAME FOLDER PACKAGE, in the versions of the go.mod in that folder
build_pinned() {
    if [ $update = no ] && [ -x "$bin/$1" ]; then
        return 0
    fi
    have_go || { say "$1 is missing: it needs the Go toolchain"; return 1; }
    say "building $1 as pinned in $2/go.mod"
    rm -rf "$scratch/pinned"
    mkdir "$scratch/pinned"
    cp "$root/$2"/*.go "$root/$2"/go.* "$scratch/pinned/"
    (cd "$scratch/pinned" && fetch env GOFLAGS=-mod=readonly go build -o "$scratch/$1" "$3") &&
        mv "$scratch/$1" "$bin/$1"
}

status=0
if bring_server; then
    say "$("$bin/nats-server" --version)"
else
    say "nats-server is missing; nothing can be compared with it"
    status=1
fi
if bring_cli; then
    say "nats: $("$bin/nats" --version 2>&1 | tail -n 1)"
elif [ -n "${CI:-}" ]; then
    say "nats is missing, which under CI is a failure"
    status=1
fi
# must_have NAME COMMAND...: what brings it
must_have() {
    name=$1
    shift
    if "$@"; then
        say "$name is there"
    elif [ -n "${CI:-}" ]; then
        say "$name is missing, which under CI is a failure"
        status=1
    fi
}

must_have tokens build_pinned tokens tests/tokens .
must_have nk bring_nk
must_have nsc build_pinned nsc scripts/peers/nsc github.com/nats-io/nsc/v2
for tool in nats-top prometheus-nats-exporter; do
    must_have $tool build_pinned $tool scripts/peers/tools "github.com/nats-io/$tool"
done
exit $status
