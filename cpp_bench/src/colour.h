// Converts photographs with a colour profile (ICC.1) to sRGB, as acne_edge/colour.py does, if built with Little CMS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace acne_edge {

enum class Pixels {
    kGrey,  // of RGB pixels that are all grey, the first channel
    kRgb,
    kInks  // four, inverted, as Adobe's software writes them
};

// Pixels of one kind and profile to sRGB.
class Conversion {
public:
    virtual ~Conversion() = default;
    // `to` is RGB; it may be `from`, unless that is inks.
    virtual void run(const std::uint8_t* from, std::uint8_t* to, std::size_t pixels) const = 0;
};

// Converts pixels with that profile to sRGB. Null if they are sRGB, if the profile cannot be used (then it is ignored), or if the
// library was built without Little CMS.
std::unique_ptr<Conversion> make_conversion(std::string_view profile, Pixels pixels);

// Whether an RGB profile's primaries and curves are those of sRGB. False where only Little CMS can tell.
bool is_srgb(std::string_view profile);

// The part that Little CMS does: null if it cannot use the profile.
std::unique_ptr<Conversion> open_profile(std::string_view profile, Pixels pixels);

// The version, as in "Little CMS 2.14", or "none" if the library was built without it.
std::string colour_management();

}  // namespace acne_edge
