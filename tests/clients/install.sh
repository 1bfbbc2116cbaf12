#!/bin/sh
# Install what the client and monitoring tests need and Debian has, where the commands are missing: as root with
# apt-get, through sudo otherwise. What Debian has only in too old a version is named, not
# installed; its client is skipped then, or fails under CI.
set -eu

packages=
missing=

candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p'
}

# at_least PACKAGE VERSION: would apt-get install that version or a newer one?
at_least() {
    found=$(candidate "$1")
    case $found in "" | "(none)") return 1 ;; esac
    dpkg --compare-versions "$found" ge "$2"
}

want() {
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

want cc gcc
want pkg-config pkg-config
want node nodejs
want npm npm
want chromium chromium
want javac default-jdk-headless
want mvn maven
want promtool prometheus
dpkg-query -W -f '${Status}' libnats-dev 2>/dev/null | grep -q 'ok installed' ||
    packages="$packages libnats-dev"
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

if ! command -v go >/dev/null 2>&1; then
    if at_least golang-go 2:1.21; then
        packages="$packages golang-go"
    else
        missing="$missing
  go 1.21 or newer (Debian's backports have one)"
    fi
fi

# Debian updates the compiler for its web browsers within a release, in packages with a name of
# their own.
if ! command -v cargo >/dev/null 2>&1; then
    if at_least rustc 1.89; then
        packages="$packages cargo"
    elif at_least rustc-web 1.89; then
        packages="$packages cargo-web rustc-web"
    else
        missing="$missing
  cargo with rustc 1.89 or newer"
    fi
fi

if [ -n "$packages" ]; then
    echo "installing:$packages"
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q
    # shellcheck disable=SC2086 # a list of words, and sudo may be none
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi
if [ -n "$missing" ]; then
    echo "not in this release of Debian:$missing"
fi
