// Any text is a manifest, or refused with an Error; nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <string>

#include "error.h"
#include "manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        acne_edge::parse_manifest(std::string(reinterpret_cast<const char*>(data), size));
    } catch (const acne_edge::Error&) {
    }
    return 0;
}
