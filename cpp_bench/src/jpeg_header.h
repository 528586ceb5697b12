// The header of a JPEG, segment by segment, as acne_edge/formats/jpeg.py reads it: what is refused before libjpeg decodes is
// refused by the same rules there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace acne_edge {

struct JpegHeader {
    int width = 0;  // pixels
    int height = 0;
    int components = 0;         // 1 grey, 3 colour, 4 inks
    std::int64_t buffered = 0;  // bytes of coefficients that libjpeg holds until the last scan is read; 0 for a file of one scan
    std::string exif;  // a TIFF file; may have been cut in several segments
    std::string xmp;
    std::string profile;  // ICC; empty if a part of it is missing

    // The EXIF orientation, 1..8; XMP counts where EXIF says nothing.
    int orientation() const;
};

// Read all that comes before the pixels, and count the scans. Throws Error: cut short in the header, a kind of JPEG that is not
// decoded here, or too many scans.
JpegHeader read_jpeg_header(const std::uint8_t* data, std::size_t size);

}  // namespace acne_edge
