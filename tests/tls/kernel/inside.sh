#!/bin/busybox sh
# What run.sh has an emulated machine do first and last.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ LD_LIBRARY_PATH=/lib/x86_64-linux-gnu
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
ip link set lo up
echo "kernel $(uname -r)"
for module in libchacha libpoly1305 chacha chacha20poly1305 ctr gcm tls; do
    [ ! -f /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko
done

failed=0
try() {
    name=$1
    shift
    if "$@" >/tmp/said 2>&1; then
        echo "good: $name"
    else
        failed=1
        echo "BAD: $name"
        cat /tmp/said
    fi
}

counter() {
    sed -n "s/^$1[[:space:]]*//p" /proc/net/tls_stat
}

bench() {
    rm -f /tmp/server.log
    pipit-server -c /tmp/bench.conf >/tmp/server.log 2>&1 &
    server=$!
    until grep -qs "Server is ready" /tmp/server.log; do
        kill -0 $server || return 1
    done
    before=$(counter TlsTxSw) keys=$(counter TlsTxRekeyOk)
    pipit-bench deliver --server 127.0.0.1:4222 --tls --verify --size "$1" --msgs "$2" --pubs 2 \
        --subs 3 --patience 60
    status=$?
    echo "status $status"
    [ "$(counter TlsTxSw)" -ge $((before + 3)) ] || { echo "not by the kernel" && status=1; }
    echo "changes of keys: $(($(counter TlsTxRekeyOk) - keys))"
    kill $server
    wait $server
    cat /tmp/server.log
    return $status
}

try "unit.tls_layer" test_tls_layer
grep -E "Running|PASSED" /tmp/said
[ "$(grep -c "Running" /tmp/said)" -eq 2 ] || failed=1 # the second half needs the kernel
[ "$(counter TlsTxSw)" -gt 50 ] || failed=1

cd /tmp || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
    -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
# An emulated machine is slow; what waits for a subscriber stays below max_pending.
echo "host: 127.0.0.1, write_deadline: \"60s\", tls { cert_file: /tmp/cert.pem, key_file: /tmp/key.pem, timeout: 60 }" >bench.conf
for run in "16 200000" "8192 10000" "1000000 50"; do
    # shellcheck disable=SC2086 # size and count
    try "deliver --tls --verify, $run" bench $run
    tail -n 3 /tmp/said
done

try "traffic" python3 /pipit/tests/tls/kernel/traffic.py /bin/pipit-server
grep -E "^test_|^Ran|^OK|^FAILED" /tmp/said
for noun in slow certificates hostile reload; do
    try "tls.$noun" python3 /pipit/tests/tls/test_$noun.py /bin/pipit-server
    tail -n 3 /tmp/said
done

grep Tx /proc/net/tls_stat
[ "$(counter TlsTxRekeyError)" -eq 0 ] || failed=1
[ $failed -ne 0 ] || echo "ALL GOOD"
poweroff -f
