#include <algorithm>
#include <string_view>

#include "backend.h"

namespace acne_edge {

bool is_engine_file(const std::vector<std::uint8_t>& model) {
    constexpr std::string_view kMagic = "ACNETRT1";
    return model.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), model.begin());
}

}  // namespace acne_edge
