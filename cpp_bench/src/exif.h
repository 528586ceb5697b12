// The orientation that a JPEG's EXIF or XMP data gives.
#pragma once

#include <cstdint>
#include <string_view>

namespace acne_edge {

// Orientation in an EXIF block, which is a TIFF file: 1..8, or 0 if it gives none. Any other value becomes 1, upright.
int exif_orientation(std::string_view tiff);

// Orientation 0..9 as XMP text has it, or 0.
int xmp_orientation(std::string_view xmp);

}  // namespace acne_edge
