#!/bin/sh
# TLS sealed by the kernel, on a kernel that does it, in an emulator: for machines whose own does not.
# usage: run.sh KERNEL-TREE [KEEP]
#
# KERNEL-TREE is where packages of a kernel with CONFIG_TLS, 6.14 or later, were unpacked (its
# vmlinuz and modules are found in it); docs/debugging.md says how to get one. Needs qemu, a static
# busybox, cpio, cmake. A server of its own is built, in KEEP or a folder that goes: it gives
# connections to the kernel at once, and changes keys every 1000 records. inside.sh says what is
# tried in the emulator. Takes ten minutes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
tree=$1
keep=${2:-}
work=${keep:-$(mktemp -d /tmp/pipit-kernel-XXXXXX)}
[ -n "$keep" ] || trap 'rm -rf "$work"' EXIT
image=$work/image

vmlinuz=$(find "$tree" -name 'vmlinuz*' | head -n 1)
modules=$(find "$tree" -type d -path '*/modules/*' -name kernel | head -n 1)

cmake -S "$root" -B "$work/build" -G Ninja \
    -DCMAKE_C_FLAGS="-DPIPIT_TLS_KERNEL_AFTER=1 -DPIPIT_TLS_RECORDS_OF_KEY=1000" >"$work/cmake.log"
cmake --build "$work/build" -j 2 --target pipit-server pipit-bench test_tls_layer >>"$work/cmake.log"

# What runs inside: programs, and the libraries that they name or load later.
rm -rf "$image"
mkdir -p "$image/bin" "$image/lib/modules" "$image/proc" "$image/sys" "$image/dev" "$image/tmp" \
    "$image/pipit/tests" "$image/etc" "$image/usr/lib/ssl"
cp "$work/build/pipit-server" "$work/build/pipit-bench" "$work/build/tests/unit/test_tls_layer" \
    "$(command -v openssl)" /usr/bin/python3 "$image/bin/"
cp "$(command -v busybox)" "$image/bin/busybox"
cp -r "$root/tests/tls" "$root/tests/websocket" "$image/pipit/tests/"
cp "$here/inside.sh" "$image/init"
cp /etc/ssl/openssl.cnf "$image/usr/lib/ssl/"
echo 'root:x:0:0::/:/bin/sh' >"$image/etc/passwd"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$image/etc/hosts"
python=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
mkdir -p "$image$python"
tar -C "$python" --exclude=test --exclude=__pycache__ --exclude='config-*' --exclude=dist-packages \
    -cf - . | tar -C "$image$python" -xf -
for file in "$image"/bin/pipit* "$image"/bin/test* "$image/bin/openssl" "$image/bin/python3" \
    "$python"/lib-dynload/*.so; do
    ldd "$file" | sed -n 's/.* => \(\/[^ ]*\).*/\1/p; s/^\t\(\/[^ ]*\).*/\1/p'
done | sort -u | while read -r library; do
    mkdir -p "$image$(dirname "$library")"
    cp -L "$library" "$image$library"
done
for module in net/tls/tls lib/crypto/libchacha lib/crypto/libpoly1305 crypto/gcm crypto/ctr \
    crypto/chacha crypto/chacha20poly1305; do
    [ ! -f "$modules/$module.ko.xz" ] || xz -dc "$modules/$module.ko.xz" \
        >"$image/lib/modules/$(basename $module).ko"
done
(cd "$image" && find . | cpio -o -H newc 2>/dev/null) | gzip -1 >"$work/image.gz"

# The console tells; its last line is the verdict.
nice -n 10 timeout "${PIPIT_KERNEL_SECONDS:-3000}" qemu-system-x86_64 -accel tcg,thread=single -cpu max -smp 2 \
    -m 1536 -nographic -no-reboot -kernel "$vmlinuz" -initrd "$work/image.gz" \
    -append "console=ttyS0 panic=-1 quiet" </dev/null | tee "$work/console.log"
grep -q '^ALL GOOD' "$work/console.log"
