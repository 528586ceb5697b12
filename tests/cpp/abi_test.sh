#!/usr/bin/env bash
# Compares the ABI of a library, which must have debug information, with the dump that is checked in for its soname.
#
#   abi_test.sh check LIBRARY DUMPS     fails with a report of what differs
#   abi_test.sh update LIBRARY DUMPS    writes the dump
set -euo pipefail
verb=$1 library=$2 dumps=$3
for tool in abidw abidiff; do
    if ! command -v $tool > /dev/null; then
        echo "skipped: $tool is not installed; 'bash cpp_bench/setup.sh tools' installs it"
        exit 77
    fi
done
machine=$(uname -m)
soname=$(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
dump=$dumps/$soname-$machine.abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
abidw --exported-interfaces-only --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed "$library" > "$work/now.abi"
if [ "$verb" = update ]; then
    mkdir -p "$dumps"
    cp "$work/now.abi" "$dump"
    exit
fi

if compgen -G "$dumps/*.abi" > /dev/null && ! compgen -G "$dumps/*-$machine.abi" > /dev/null; then
    echo "skipped: dumps are checked in, but none of $machine"
    exit 77
fi
if [ ! -f "$dump" ]; then
    echo "abi_test.sh: there is no $dump" >&2
elif ! abidiff --harmless "$dump" "$work/now.abi"; then
    # Which of both it is abidiff does not say: told to pass over fields added at the end, version 2.2 passes over others too.
    cat >&2 <<TEXT
abi_test.sh: the library is not what programs were linked to. If functions, enumerators or, at the end of a
struct, fields were added and nothing else, update the dump. Anything else breaks programs: raise the version,
so that the soname is another than $soname, and add a dump.
TEXT
else
    # A comparison that sees nothing would get here too. A function that is gone, two fields that changed places, another
    # value of a constant and a struct that grew must each be seen.
    for change in "/elf-symbol name='acne_edge_close'/d" \
        "s/name='map_height'/name='_'/; s/name='map_width'/name='map_height'/; s/name='_'/name='map_width'/" \
        "s/\(ACNE_EDGE_STATUS_MODEL' value='\)5/\115/" "/class-decl name='acne_edge_timings'/s/448/512/"; do
        sed "$change" "$dump" > "$work/other.abi"
        if abidiff --harmless "$work/other.abi" "$dump" > /dev/null; then
            echo "abi_test.sh: abidiff does not see $change" >&2
            exit 1
        fi
    done
    exit 0
fi
echo "To write the dump: bash tests/cpp/abi_test.sh update $library $dumps" >&2
exit 1
