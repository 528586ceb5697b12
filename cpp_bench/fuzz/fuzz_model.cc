// Any bytes are a model file with a manifest or without, or an engine file that is refused with an Error; nothing else may happen.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine_file.h"
#include "error.h"
#include "onnx_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::vector<std::uint8_t> bytes(data, data + size);
    acne_edge::find_manifest(bytes);
    try {
        acne_edge::refuse_external_data(bytes);
    } catch (const acne_edge::Error&) {
    }
    try {
        acne_edge::read_engine_file(bytes);
    } catch (const acne_edge::Error&) {
    }
    return 0;
}
