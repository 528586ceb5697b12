// Any bytes are used as a colour profile, or ignored; nothing else may happen.
#include <array>
#include <cstddef>
#include <cstdint>

#include "colour.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace acne_edge;
    const std::string_view profile(reinterpret_cast<const char*>(data), size);
    std::array<std::uint8_t, 4 * 16> from{};
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::uint8_t>(37 * i);
    std::array<std::uint8_t, 3 * 16> to{};
    for (const Pixels pixels : {Pixels::kGrey, Pixels::kRgb, Pixels::kInks}) {
        const auto conversion = make_conversion(profile, pixels);
        if (conversion) conversion->run(from.data(), to.data(), 16);
    }
    return 0;
}
