// Any bytes are decoded and scored, or refused with an Error; nothing else may happen.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "error.h"
#include "image.h"
#include "quality.h"
#include "resize.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace acne_edge;
    try {
        const Photograph photograph = decode_jpeg(data, size, 448);
        const Image small = resize(photograph.pixels.view(), kQualitySide, kQualitySide);
        assess(small.view(), std::min(photograph.pixels.width(), photograph.pixels.height()));
        resize(photograph.pixels.view(), 224, 224);
    } catch (const Error&) {
    }
    return 0;
}
