// Reads the header of a JPEG, segment by segment, as acne_edge/formats/jpeg.py does; both refuse files by the same rules before
// libjpeg decodes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace acne_edge {

struct JpegHeader {
    int width = 0;  // pixels
    int height = 0;
    int components = 0;         // 1 grey, 3 colour, 4 inks
    std::int64_t buffered = 0;  // bytes of coefficients that libjpeg keeps until the last scan; 0 for a file with one scan
    std::string exif;  // a TIFF file; may have been split over several segments
    std::string xmp;
    std::string profile;  // ICC; empty if a part of it is missing

    // The EXIF orientation, 1..8; XMP counts where EXIF says nothing.
    int orientation() const;
};

// Read everything before the pixels, and count the scans. Throws Error if the header is cut short, the kind of JPEG is not
// supported, or there are too many scans.
JpegHeader read_jpeg_header(const std::uint8_t* data, std::size_t size);

}  // namespace acne_edge
