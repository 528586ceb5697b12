#!/usr/bin/env bash
# Cross-compiles the library for aarch64 and runs its tests under an emulator, on the golden cases of the native build.
#
#   apt-get install g++-aarch64-linux-gnu; bash cpp_bench/setup.sh aarch64; bash cpp_bench/aarch64.sh [all]
#
# An emulated prediction takes seconds, so only some of the golden photographs are predicted, unless `all` is given; their pixels
# are compared in any case.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../build
golden=$(cd "$root/cpp/golden" && pwd) || { echo "aarch64.sh: run the native tests first; they draw the golden cases" >&2; exit 1; }
command -v aarch64-linux-gnu-g++ > /dev/null || { echo "aarch64.sh: install g++-aarch64-linux-gnu first" >&2; exit 1; }
[ -d "$here/.deps/aarch64" ] || bash "$here/setup.sh" aarch64
emulator=$(find "$here/.deps/qemu" -name 'qemu-aarch64' | head -1)
[ "${1:-}" = all ] || export ACNE_EDGE_GOLDEN_EVERY=10

cmake -S "$here" -B "$root/cpp-aarch64" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
    -DCMAKE_LIBRARY_ARCHITECTURE=aarch64-linux-gnu \
    -DCMAKE_CXX_FLAGS="-isystem $here/.deps/aarch64/usr/include/aarch64-linux-gnu" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator;-L;/usr/aarch64-linux-gnu" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined \
    -DACNE_EDGE_GOLDEN="$golden" -DACNE_EDGE_DRAW_GOLDEN=OFF
cmake --build "$root/cpp-aarch64" -j2
ctest --test-dir "$root/cpp-aarch64" --output-on-failure --exclude-regex '^bench.runs$'
