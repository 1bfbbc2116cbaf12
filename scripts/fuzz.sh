#!/bin/sh
# Run every fuzz target for some seconds, as many at once as there are cores: fuzz.sh BUILD-FOLDER SECONDS
# Starts from fuzz/corpus, keeps what it finds in BUILD-FOLDER/corpus; a finding is a file
# crash-* or the like in BUILD-FOLDER, to be run again with `BUILD-FOLDER/fuzz/fuzz_NAME FILE`.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)

# run_one BUILD-FOLDER SECONDS TARGET; says what came of it when that is known.
run_one() {
    build=$1
    seconds=$2
    target=$3
    name=$(basename "$target")
    found="$build/corpus/${name#fuzz_}"
    case $name in
    fuzz_options) set -- "$here/tests/config/keys/valid" "$here/tests/config/keys/invalid" ;;
    fuzz_config) set -- "$here/tests/config/valid" "$here/tests/config/invalid" ;;
    *) set -- "$here/fuzz/corpus/${name#fuzz_}" ;;
    esac
    mkdir -p "$found"
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/" "$found" "$@" \
        >"$build/$name.log" 2>&1; then
        echo "ok $name, $seconds s: $(grep -o 'number_of_executed_units.*' "$build/$name.log" || true)"
    else
        echo "not ok $name: $(tail -n 40 "$build/$name.log")"
    fi
}

if [ "$1" = --one ]; then
    shift
    run_one "$@"
    exit
fi
build=$1
seconds=$2
verdicts="$build/verdicts.log"
targets=$(find "$build/fuzz" -maxdepth 1 -name 'fuzz_*' -type f -perm -u+x | sort)
echo "$targets" | xargs -n 1 -P "$(nproc)" "$0" --one "$build" "$seconds" | tee "$verdicts"
passed=$(grep -c '^ok fuzz_' "$verdicts" || true)
failed=$(grep -c '^not ok fuzz_' "$verdicts" || true)
failed=$((failed + $(echo "$targets" | wc -l) - passed - failed)) # who says nothing has failed
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
