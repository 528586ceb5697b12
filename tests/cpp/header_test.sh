#!/usr/bin/env bash
# What acne_edge.h promises, tried with a compiler as a stranger would use it:  header_test.sh CC CXX SOURCES LIBRARY GOLDEN DEPS
set -euo pipefail
cc=$1 cxx=$2 sources=$3 library=$4 golden=$5 deps=$6
header=$sources/include/acne_edge.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "header_test.sh: $*" >&2; exit 1; }
strict=(-Wall -Wextra -Wpedantic -Werror "-I$sources/include")

# The example at its top compiles as C and as C++, counts lesions, and says what is wrong in one line.
sed -n 's/^ \*     //p; /^ \* Conventions/q' "$header" > "$work/example.c"
grep -q 'int main' "$work/example.c" || fail "no example found at the top of the header"
runtime=$(dirname "$(find "$deps" -name 'libonnxruntime.so.1' | head -1)")
export LD_LIBRARY_PATH=$(dirname "$library"):$runtime
cp "$work/example.c" "$work/example.cc"
for compiler in "$cc -std=c99" "$cc -std=c11" "$cxx -std=c++11 -x c++"; do
    # shellcheck disable=SC2086
    $compiler "${strict[@]}" -c -o "$work/example.o" "$work/example.c" || fail "$compiler does not take the example"
    $cxx -o "$work/example" "$work/example.o" "$library" -Wl,-rpath-link,"$runtime"
    "$work/example" "$golden/model.onnx" "$golden/many_lesions.jpg" > "$work/out"
    grep -Eq '^[0-9.]+ lesions \([0-9]+ to [0-9]+\), [a-z ]+$' "$work/out" || fail "the example prints: $(cat "$work/out")"
    for arguments in "" "$golden/model.onnx /no/such.jpg" "/no/such.onnx $golden/many_lesions.jpg"; do
        # shellcheck disable=SC2086
        ! "$work/example" $arguments 2> "$work/err" || fail "the example succeeds with '$arguments'"
        [ "$(wc -l < "$work/err")" = 1 ] || fail "the example says: $(cat "$work/err")"
    done
done

# Whoever ignores a status is warned, whichever function gives it.
cat > "$work/ignores.c" <<'C'
#include <acne_edge.h>
void ignore(acne_edge_model *model, acne_edge_result *result, char *text);
void ignore(acne_edge_model *model, acne_edge_result *result, char *text) {
    acne_edge_open("", NULL, &model);
    acne_edge_open_memory(NULL, 0, NULL, &model);
    acne_edge_open_and_predict("", NULL, NULL, 0, &model, &result);
    acne_edge_predict_jpeg(model, NULL, 0, &result);
    acne_edge_predict_rgb(model, NULL, 0, 0, 0, &result);
    acne_edge_result_json(result, NULL, 0, &text);
}
C
warned=$($cc -I"$sources/include" -c -o /dev/null "$work/ignores.c" 2>&1 | grep -c 'unused-result' || true)
functions=$($cc -E -P -I"$sources/include" "$header" | tr '\n' ' ' | grep -oE 'acne_edge_status +acne_edge_[a-z_]+\(' | wc -l)
[ "$warned" = "$functions" ] || fail "$functions functions return a status, and $warned of them warn where it is ignored"

# A struct that grows at its end moves no field of its own and none of another struct: of all that layout.c asserts, one line
# about its size is all that fails.
structs=$(sed -n 's/^typedef struct \(acne_edge_[a-z]*\) {$/\1/p' "$header")
[ "$(wc -w <<< "$structs")" -ge 4 ] || fail "no structs found in the header"
for struct in $structs; do
    sed "s/^} $struct;/    double added_later;\n&/" "$header" > "$work/acne_edge.h"
    if $cc -std=c11 -I"$work" -fsyntax-only "$sources/src/layout.c" 2> "$work/err"; then
        fail "layout.c does not notice that $struct grew"
    fi
    errors=$(grep 'error:' "$work/err")
    if [[ $(wc -l <<< "$errors") != 1 || $errors != *"$struct has grown"* ]]; then
        fail "where $struct grows, this breaks: $errors"
    fi
done
