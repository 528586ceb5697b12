#include "colour.h"

#include <array>
#include <cmath>
#include <optional>

namespace acne_edge {
namespace {

constexpr std::size_t kMaxProfile = 4000000;  // bytes; profiles of cameras and printers are smaller
constexpr std::size_t kHeader = 128;
constexpr double kNear = 0.002;  // tolerance of a primary and of a curve: half a level of 255

struct Primary {
    const char* tag;
    std::array<double, 3> xyz;
};
// IEC 61966-2-1, adapted to D50.
constexpr Primary kPrimaries[] = {
    {"rXYZ", {0.43607, 0.22249, 0.01392}}, {"gXYZ", {0.38515, 0.71687, 0.09708}}, {"bXYZ", {0.14307, 0.06061, 0.71410}}};
constexpr const char* kCurves[] = {"rTRC", "gTRC", "bTRC"};
constexpr double kProbes[] = {0.1, 0.25, 0.5, 0.75};  // where the curves are compared

// A big-endian integer; 0 beyond the end.
std::uint32_t integer(std::string_view data, std::size_t at, std::size_t bytes) {
    if (at > data.size() || data.size() - at < bytes) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(data[at + i]);
    return value;
}

double fixed(std::string_view data, std::size_t at) { return static_cast<std::int32_t>(integer(data, at, 4)) / 65536.0; }

std::optional<std::string_view> find_tag(std::string_view profile, std::string_view name) {
    const std::size_t number = std::min<std::size_t>(integer(profile, kHeader, 4), 100);
    std::optional<std::string_view> found;
    for (std::size_t i = 0; i < number; ++i) {
        const std::size_t entry = kHeader + 4 + 12 * i;
        if (profile.size() < entry + 12) break;
        if (profile.substr(entry, 4) != name) continue;
        const std::size_t offset = std::min<std::size_t>(integer(profile, entry + 4, 4), profile.size());
        found = profile.substr(offset, integer(profile, entry + 8, 4));
    }
    return found;
}

// A tone curve at `x`, both in 0..1 (ICC.1:2022, 10.6 and 10.18); none for one that is not sRGB's.
std::optional<double> curve(std::string_view tag, double x) {
    if (tag.substr(0, 4) == "curv") {
        const std::uint32_t number = integer(tag, 8, 4);
        if (number < 256) return std::nullopt;  // a gamma, or too few points to tell
        const double place = x * (number - 1);
        const std::size_t at = 12 + 2 * static_cast<std::size_t>(place);
        if (tag.size() < at + 4) return std::nullopt;
        const double low = integer(tag, at, 2), high = integer(tag, at + 2, 2);
        return (low + (high - low) * (place - std::floor(place))) / 65535;
    }
    const std::uint32_t kind = integer(tag, 8, 2);
    if (tag.substr(0, 4) == "para" && (kind == 3 || kind == 4) && tag.size() >= 32) {
        const double gamma = fixed(tag, 12), a = fixed(tag, 16), b = fixed(tag, 20), c = fixed(tag, 24), d = fixed(tag, 28);
        return x >= d ? std::pow(a * x + b, gamma) : c * x;
    }
    return std::nullopt;
}

bool has_srgb_primaries(std::string_view profile) {
    for (const Primary& primary : kPrimaries) {
        const auto tag = find_tag(profile, primary.tag);
        if (!tag || tag->size() < 20) return false;
        for (std::size_t i = 0; i < 3; ++i) {
            if (!(std::abs(fixed(*tag, 8 + 4 * i) - primary.xyz[i]) <= kNear)) return false;
        }
    }
    return true;
}

bool has_srgb_curves(std::string_view profile) {
    for (const char* name : kCurves) {
        const auto tag = find_tag(profile, name);
        if (!tag) return false;
        for (const double x : kProbes) {  // of which none is so dark that the line holds
            const auto y = curve(*tag, x);
            if (!y || !(std::abs(*y - std::pow((x + 0.055) / 1.055, 2.4)) <= kNear)) return false;
        }
    }
    return true;
}

}  // namespace

bool is_srgb(std::string_view profile) {
    // Tables take precedence over primaries and curves.
    return !find_tag(profile, "A2B0") && !find_tag(profile, "A2B1") && has_srgb_primaries(profile) && has_srgb_curves(profile);
}

std::unique_ptr<Conversion> make_conversion(std::string_view profile, Pixels pixels) {
    const std::string_view fitting = pixels == Pixels::kRgb ? "RGB " : pixels == Pixels::kGrey ? "GRAY" : "CMYK";
    if (profile.size() <= kHeader || profile.size() > kMaxProfile || profile.substr(16, 4) != fitting) return nullptr;
    if (pixels == Pixels::kRgb && is_srgb(profile)) return nullptr;
    return open_profile(profile, pixels);
}

}  // namespace acne_edge
