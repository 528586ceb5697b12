#!/usr/bin/env bash
# Downloads the dependencies of cpp_bench into cpp_bench/.deps/<arch>, so that the build needs neither network nor root.
#
#   bash cpp_bench/setup.sh             for this machine
#   bash cpp_bench/setup.sh aarch64     for a cross build: also a user-mode emulator, and a Python with the SDK's packages to run in it
#   bash cpp_bench/setup.sh tools       as root: installs clang, for the fuzz targets, valgrind, and what compares ABIs
#
# Headers and libraries are Debian packages, unpacked and not installed. ONNX Runtime's library comes from its Python wheel,
# which has no headers; Debian 13 has them, and the C API is versioned, so older headers serve a newer library.
set -euo pipefail

ONNXRUNTIME_VERSION=${ONNXRUNTIME_VERSION:-1.32.0}
arch=${1:-$(uname -m)}
case $arch in
    tools)
        apt-get update -qq
        # valgrind needs the loader's debug symbols.
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends abigail-tools clang libclang-rt-dev valgrind \
            libc6-dbg
        exit
        ;;
    x86_64) debian_arch=amd64 ;;
    aarch64) debian_arch=arm64 ;;
    *) echo "setup.sh: unknown architecture '$arch'; choose x86_64, aarch64 or tools" >&2; exit 2 ;;
esac
triplet=$arch-linux-gnu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/.deps/$arch
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

# The mirror is the one that this machine's apt uses for its own release.
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' |
    awk -v release="$codename" '$1 == release && !found { print $2; found = 1 }')
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -z "$mirror" ] || [ ! -f "$keyring" ]; then
    echo "setup.sh: apt has no sources for '$codename'; needed is Debian 12 or newer with a configured mirror" >&2
    exit 1
fi

# A separate apt: its lists and packages stay in .deps, and the system's are not touched.
apt=$here/.deps/apt-$arch
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,packages}
for suite in "$codename" trixie; do
    echo "deb [arch=$debian_arch signed-by=$keyring] $mirror $suite main"
done | sort -u > "$apt/sources.list"
apt_get() {
    apt-get -qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State="$apt/state" \
        -o Dir::Cache="$apt/cache" -o APT::Architecture="$debian_arch" -o APT::Architectures="$debian_arch" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}
apt_get update

rm -rf "$root" "$apt"/packages/*
mkdir -p "$root"
# The wheel of ONNX Runtime comes by pip: that of python3, or that of an environment of our own.
python=python3
if ! python3 -m pip --version > /dev/null 2>&1; then
    python=$apt/python/bin/python
    python3 -m venv "$apt/python" > /dev/null 2>&1 || {
        echo "setup.sh: python3 has neither pip nor venv, which get ONNX Runtime; as root: apt install python3-venv" >&2
        exit 1
    }
fi
unpack() {  # suite, folder, packages...
    local suite=$1 folder=$2
    shift 2
    (cd "$apt/packages" && rm -f ./*.deb && apt_get download "${@/%//$suite}")
    for package in "$apt"/packages/*.deb; do dpkg -x "$package" "$folder"; done
}
wheels() {  # into, Python's version, packages...
    local into=$1 version=$2
    shift 2
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version "$version" \
        --platform "manylinux_2_28_$arch" --platform "manylinux_2_27_$arch" --platform "manylinux2014_$arch" --dest "$into" "$@"
}
unpack trixie "$root" libonnxruntime-dev
unpack "$codename" "$root" libjpeg62-turbo libjpeg62-turbo-dev liblcms2-2 liblcms2-dev nlohmann-json3-dev libgtest-dev
if [ "$arch" != "$(uname -m)" ]; then
    # Debian 12's qemu-user crashes when ONNX Runtime detects the processor; Debian 13's does not.
    emulator_arch=$(dpkg --print-architecture)
    sed -i "s/arch=$debian_arch/arch=$debian_arch,$emulator_arch/" "$apt/sources.list"
    apt_get -o APT::Architectures::="$emulator_arch" update
    (cd "$apt/packages" && rm -f ./*.deb && apt_get -o APT::Architectures::="$emulator_arch" download "qemu-user:$emulator_arch/trixie")
    dpkg -x "$apt"/packages/qemu-user*.deb "$here/.deps/qemu"
    # The SDK runs in the emulator too.
    emulated=$here/.deps/python-$arch
    rm -rf "$emulated"
    mkdir -p "$emulated/wheels" "$emulated/packages"
    unpack trixie "$emulated" libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libbz2-1.0 liblzma5 libssl3t64 libuuid1 \
        python3.13-minimal libpython3.13-minimal libpython3.13-stdlib
    wheels "$emulated/wheels" 3.13 "onnxruntime==$ONNXRUNTIME_VERSION" numpy pillow
    ln -s usr/lib "$emulated/lib"
    for wheel in "$emulated"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$emulated/packages"; done
    rm -rf "$emulated/wheels"
fi

wheels "$apt/packages" 3.12 "onnxruntime==$ONNXRUNTIME_VERSION"
python3 - "$apt/packages" "$root/usr/lib/$triplet" <<'PYTHON'
import pathlib, sys, zipfile

packages, libraries = map(pathlib.Path, sys.argv[1:])
(wheel,) = packages.glob("onnxruntime-*.whl")
with zipfile.ZipFile(wheel) as archive:
    (name,) = (n for n in archive.namelist() if n.startswith("onnxruntime/capi/libonnxruntime.so."))
    for old in libraries.glob("libonnxruntime*.so*"):
        old.unlink()
    (libraries / "libonnxruntime.so.1").write_bytes(archive.read(name))
(libraries / "libonnxruntime.so").symlink_to("libonnxruntime.so.1")
PYTHON
rm -rf "$apt"
echo "setup.sh: ready in ${root#"$PWD"/}"
