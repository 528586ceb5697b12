#!/usr/bin/env bash
# Builds a stranger's program against an installed tree, once with CMake's find_package, once with pkg-config, and runs both.
#
#   bash tests/cpp/consumer_test.sh PREFIX EXAMPLE.c MODEL.onnx PHOTO.jpg
set -euo pipefail
prefix=$(cd "$1" && pwd) example=$2 model=$3 photo=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset LD_LIBRARY_PATH # nothing else has to be told where a library is

pc=$(find "$prefix" -name acne_edge.pc)
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
cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$prefix" > "$work/log" || { cat "$work/log" >&2; exit 1; }
cmake --build "$work/project/build" > "$work/log" || { cat "$work/log" >&2; exit 1; }
"$work/project/build/example" "$model" "$photo"

flags=$(pkg-config --cflags --libs acne_edge)
# shellcheck disable=SC2086
cc -o "$work/example" "$work/project/example.c" $flags
"$work/example" "$model" "$photo"

# What is linked to it asks for the soname that changes whenever programs would break.
if ! readelf -d "$work/example" | grep -qF "[libacne_edge.so.$abi]" || [ ! -e "${pc%/*}/../libacne_edge.so.$abi" ]; then
    echo "the soname of $version is not libacne_edge.so.$abi" >&2
    exit 1
fi
