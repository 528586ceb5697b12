#!/usr/bin/env bash
# Installs the library into a fresh folder, moves that, and builds the example against it; the tree is whole, and small.
set -euo pipefail
build=$1 example=$2 golden=$3 deps=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Installed under another prefix than the configured one, and moved after that.
cmake --install "$build" --prefix "$work/prefix" > "$work/log"
mv "$work/prefix" "$work/moved"
# Where setup.sh brought ONNX Runtime, it is installed too.
if [ -d "$deps" ] && [ ! -e "$work/moved/lib/libonnxruntime.so.1" ]; then
    echo "the ONNX Runtime of $deps was not installed" >&2
    exit 1
fi
share=$work/moved/share/acne_edge
cmp "$share/examples/firmware_example.c" "$example"
bash "$(dirname "$0")/consumer_test.sh" "$work/moved" "$share/examples/firmware_example.c" "$golden/model.onnx" "$golden/many_lesions.jpg"

# The tree has a model and the benchmark.
version=$(sed -n 's/^Version: //p' "$work/moved/lib/pkgconfig/acne_edge.pc")
[ "$("$work/moved/bin/acne_edge_bench" --version)" = "acne_edge_bench $version, libacne_edge $version" ]
printed=$(cd / && "$work/moved/bin/acne_edge_bench" --once --image "$golden/many_lesions.jpg")
case $printed in *'"path":"'*) ;; *) echo "the installed benchmark printed: $printed" >&2; exit 1 ;; esac
rm "$share/models/index.json" # so it was that model
if printed=$("$work/moved/bin/acne_edge_bench" --once --image "$golden/many_lesions.jpg" 2>&1) || [[ $printed != *"$work/moved"* ]]; then
    echo "the installed benchmark takes its model from elsewhere: $printed" >&2
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
