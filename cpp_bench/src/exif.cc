#include "exif.h"

#include <cstddef>

namespace acne_edge {
namespace {

constexpr unsigned kOrientation = 0x0112;
constexpr int kNone = 0, kUpright = 1;

// Integers of a TIFF file, in its byte order. Reads outside the file give nothing and set `damaged`.
class Reader {
public:
    Reader(std::string_view data, bool big_endian) : data_(data), big_endian_(big_endian) {}

    std::uint32_t integer(std::size_t offset, std::size_t bytes) {
        if (offset > data_.size() || data_.size() - offset < bytes) {
            damaged = true;
            return 0;
        }
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < bytes; ++i) {
            const std::size_t at = offset + (big_endian_ ? i : bytes - 1 - i);
            value = value << 8 | static_cast<unsigned char>(data_[at]);
        }
        return value;
    }

    bool damaged = false;

private:
    std::string_view data_;
    bool big_endian_;
};

std::size_t size_of(unsigned type) {
    switch (type) {
        case 6: return 1;  // signed byte
        case 3:
        case 8: return 2;  // short, signed short
        case 4:
        case 9:
        case 13: return 4;  // long, signed long, offset of a directory
        default: return 0;
    }
}

}  // namespace

int exif_orientation(std::string_view tiff) {
    if (tiff.empty()) return kNone;
    const std::string_view order = tiff.substr(0, 2);
    if (order != "II" && order != "MM") return kUpright;
    Reader reader(tiff, order == "MM");
    if (reader.integer(2, 2) != 42) return kUpright;
    const std::size_t directory = reader.integer(4, 4);
    const unsigned entries = reader.integer(directory, 2);
    for (unsigned i = 0; i < entries && !reader.damaged; ++i) {
        const std::size_t entry = directory + 2 + std::size_t{12} * i;
        if (reader.integer(entry, 2) != kOrientation) continue;
        const std::size_t bytes = size_of(reader.integer(entry + 2, 2));
        const std::size_t count = reader.integer(entry + 4, 4);
        if (bytes == 0 || count == 0) return kUpright;
        // A value of more than four bytes is stored elsewhere; only the first of several values counts.
        const std::size_t at = bytes * count > 4 ? reader.integer(entry + 8, 4) : entry + 8;
        const std::uint32_t value = reader.integer(at, bytes);
        if (reader.damaged) return kNone;
        return value >= 1 && value <= 8 ? static_cast<int>(value) : kUpright;
    }
    return kNone;
}

int xmp_orientation(std::string_view xmp) {
    constexpr std::string_view kName = "tiff:Orientation";
    for (std::size_t at = xmp.find(kName); at != xmp.npos; at = xmp.find(kName, at + 1)) {
        std::string_view rest = xmp.substr(at + kName.size());
        if (rest.substr(0, 2) == "=\"") {
            rest.remove_prefix(2);
        } else if (rest.substr(0, 1) == ">") {
            rest.remove_prefix(1);
        } else {
            continue;
        }
        if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
    }
    return 0;
}

}  // namespace acne_edge
