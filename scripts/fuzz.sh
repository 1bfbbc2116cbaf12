#!/bin/sh
# Run every fuzz target for some seconds: fuzz.sh BUILD-FOLDER SECONDS
# Starts from fuzz/corpus, keeps what it finds in BUILD-FOLDER/corpus; a finding is a file
# crash-* or the like in BUILD-FOLDER, to be run again with `BUILD-FOLDER/fuzz/fuzz_NAME FILE`.
set -eu

build=$1
seconds=$2
here=$(cd "$(dirname "$0")/.." && pwd)
passed=0
failed=0
for target in "$build"/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    found="$build/corpus/${name#fuzz_}"
    case $name in
    fuzz_options) set -- "$here/tests/config/keys/valid" "$here/tests/config/keys/invalid" ;;
    fuzz_config) set -- "$here/tests/config/valid" "$here/tests/config/invalid" ;;
    *) set -- "$here/fuzz/corpus/${name#fuzz_}" ;;
    esac
    mkdir -p "$found"
    echo "== $name, $seconds s"
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/" "$found" "$@" \
        >"$build/$name.log" 2>&1; then
        passed=$((passed + 1))
        grep -E 'number_of_executed_units|average_exec' "$build/$name.log" || true
    else
        failed=$((failed + 1))
        tail -n 40 "$build/$name.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
