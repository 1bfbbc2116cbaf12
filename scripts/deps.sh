#!/bin/sh
# Install the Debian packages that building and testing need, those that are missing; with sudo
# only if not root. Names the packages and stops where there is no apt.
#   deps.sh        building, unit, protocol, process, packaging and fault tests
#   deps.sh fuzz   the fuzz targets too
set -eu

packages="build-essential cmake ninja-build pkg-config python3 libjansson-dev libsodium-dev
libcrypt-dev libxxhash-dev libhttp-parser-dev libssl-dev libwslay-dev zlib1g-dev liblz4-dev
libcurl4-openssl-dev libncurses-dev libcbor-dev tzdata openssl libcmocka-dev libfuse3-dev fuse3
systemd iproute2 netcat-openbsd tmux zsh fish groff"
[ "${1:-}" = fuzz ] && packages="$packages clang libclang-rt-14-dev"

if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: make sure that you have what these packages hold:" $packages
    exit 0
fi
missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
$sudo apt-get install -q -y --no-install-recommends $missing
