#!/usr/bin/env bash
# Installs the library into a fresh folder and builds the example against it, once with CMake's find_package, once with pkg-config.
set -euo pipefail
build=$1 example=$2 golden=$3 deps=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" > "$work/log"
# Where setup.sh brought ONNX Runtime, it is installed too, and nothing else has to be told where it is.
unset LD_LIBRARY_PATH
if [ -d "$deps" ] && [ ! -e "$work/prefix/lib/libonnxruntime.so.1" ]; then
    echo "the ONNX Runtime of $deps was not installed" >&2
    exit 1
fi

pc=$(find "$work/prefix" -name acne_edge.pc)
export PKG_CONFIG_PATH=${pc%/*}
version=$(pkg-config --modversion acne_edge)
case $version in
    0.*) abi=${version%.*} ;; # up to version 1 each minor version has an ABI of its own
    *) abi=${version%%.*} ;;
esac

mkdir "$work/project"
cp "$example" "$work/project/example.c"
cat > "$work/project/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.16)
project(stranger C)
find_package(acne_edge 0.0 QUIET)
if(acne_edge_FOUND)
  message(FATAL_ERROR "a program that asks for another ABI, that of 0.0, is given $version")
endif()
find_package(acne_edge $abi REQUIRED)
add_executable(example example.c)
target_link_libraries(example PRIVATE acne_edge::acne_edge)
CMAKE
cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/log"
cmake --build "$work/project/build" > "$work/log"
"$work/project/build/example" "$golden/model.onnx" "$golden/many_lesions.jpg"

# Installed under another prefix than the configured one, and moved after that: pkg-config alone is enough, and the tree has a
# model, the example and the benchmark.
mv "$work/prefix" "$work/moved"
export PKG_CONFIG_PATH=${PKG_CONFIG_PATH/"$work/prefix"/"$work/moved"}
flags=$(pkg-config --cflags --libs acne_edge)
share=$work/moved/share/acne_edge
# shellcheck disable=SC2086
cc -o "$work/example" "$share/examples/firmware_example.c" $flags
"$work/example" "$share/models/acne-edge-s-int8.onnx" "$golden/many_lesions.jpg"
cmp "$share/examples/firmware_example.c" "$example"
[ "$("$work/moved/bin/acne_edge_bench" --version)" = "acne_edge_bench $version, libacne_edge $version" ]
printed=$(cd / && "$work/moved/bin/acne_edge_bench" --once --image "$golden/many_lesions.jpg")
case $printed in *'"path":"'*) ;; *) echo "the installed benchmark printed: $printed" >&2; exit 1 ;; esac
rm "$share/models/index.json" # so it was that model
if printed=$("$work/moved/bin/acne_edge_bench" --once --image "$golden/many_lesions.jpg" 2>&1) || [[ $printed != *"$work/moved"* ]]; then
    echo "the installed benchmark takes its model from elsewhere: $printed" >&2
    exit 1
fi

# What is linked to it asks for the soname that changes whenever programs would break.
if ! readelf -d "$work/example" | grep -qF "[libacne_edge.so.$abi]" || [ ! -e "$work/moved/lib/libacne_edge.so.$abi" ]; then
    echo "the soname of $version is not libacne_edge.so.$abi" >&2
    exit 1
fi

# What is exported is the C ABI and nothing else; what is installed is small.
library=$(find "$work/moved" -name 'libacne_edge.so.*.*.*')
if nm -D --defined-only "$library" | grep -v ' acne_edge_'; then
    echo "the library exports more than its C ABI" >&2
    exit 1
fi
strip -o "$work/stripped.so" "$library"
size=$(stat -c %s "$work/stripped.so")
echo "stripped library: $size bytes"
[ "$size" -lt 600000 ]
