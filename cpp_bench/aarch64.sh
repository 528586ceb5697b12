#!/usr/bin/env bash
# Cross-compiles the library for aarch64 and runs it under an emulator: its tests, with the golden cases of the native build, and
# a comparison with the Python SDK on aarch64, which must predict the same.
#
#   apt-get install g++-aarch64-linux-gnu; bash cpp_bench/setup.sh aarch64; bash cpp_bench/aarch64.sh [EVERY]
#
# An emulated prediction takes seconds, so only every 20th golden photograph is predicted, or every EVERYth; pixels are compared
# for all of them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../build
golden=$(cd "$root/cpp/golden" && pwd) || { echo "aarch64.sh: run the native tests first; they draw the golden cases" >&2; exit 1; }
command -v aarch64-linux-gnu-g++ > /dev/null || { echo "aarch64.sh: install g++-aarch64-linux-gnu first" >&2; exit 1; }
[ -d "$here/.deps/aarch64" ] || bash "$here/setup.sh" aarch64
python=$here/.deps/python-aarch64
emulator=$(find "$here/.deps/qemu" -name 'qemu-aarch64' | head -1)
export ACNE_EDGE_GOLDEN_EVERY=${1:-20}

cmake -S "$here" -B "$root/cpp-aarch64" -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$here/cmake/aarch64.cmake" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator;-L;/usr/aarch64-linux-gnu" \
    -DACNE_EDGE_GOLDEN="$golden" -DACNE_EDGE_DRAW_GOLDEN=OFF
cmake --build "$root/cpp-aarch64" -j2
"$(command -v python3)" "$here/../tests/cpp/same_in_python.py" "$golden" "$ACNE_EDGE_GOLDEN_EVERY" \
    --library "$emulator" -L /usr/aarch64-linux-gnu "$root/cpp-aarch64/acne_edge_bench" \
    --python "$emulator" -L "$python" "$python/usr/bin/python3.13"
# Threads that share a model are emulated one after another, and repairing the cache loads a model many times.
GTEST_FILTER=-Api.ManyThreadsShareOneModel:CacheTest.ReplacesWhatIsDamaged \
    ctest --test-dir "$root/cpp-aarch64" --output-on-failure --exclude-regex '^bench.runs$'
