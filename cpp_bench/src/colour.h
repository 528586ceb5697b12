// Colour profiles (ICC.1) -> sRGB, as acne_edge/colour.py does it, by Little CMS where the library was built with it.
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

// What brings pixels with that profile to sRGB; null where they are sRGB, where the profile cannot be used, which must not cost
// the photograph, and where the library was built without Little CMS.
std::unique_ptr<Conversion> make_conversion(std::string_view profile, Pixels pixels);

// Whether an RGB profile's primaries and curves are those of sRGB. False where it takes Little CMS to tell.
bool is_srgb(std::string_view profile);

// The part that Little CMS does: null if it cannot use the profile.
std::unique_ptr<Conversion> open_profile(std::string_view profile, Pixels pixels);

// "Little CMS 2.14", or "none" in a library that was built without.
std::string colour_management();

}  // namespace acne_edge
