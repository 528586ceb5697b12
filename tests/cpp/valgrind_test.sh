#!/usr/bin/env bash
# A thousand predictions under valgrind: no invalid access, no use of uninitialised memory, nothing lost and nothing left behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$1 bench=$2 photograph=$3 samples=${4:-1000}
"$python" -c 'import onnx' 2> /dev/null || { echo "skipped: drawing a tiny model needs the Python package onnx"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$here/../.." && "$python" -m tests.toy_model "$work/tiny.onnx")
valgrind --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all --error-exitcode=9 --suppressions="$here/valgrind.supp" \
    "$bench" --model "$work/tiny.onnx" --image "$photograph" --samples "$samples" --warmup 0 --cold-starts 0 --threads 2
