#include "jpeg_header.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>

#include "error.h"
#include "exif.h"

namespace acne_edge {
namespace {

enum Marker : int {
    kBaseline = 0xC0,
    kExtended = 0xC1,
    kProgressive = 0xC2,
    kHuffmanTables = 0xC4,
    kReserved = 0xC8,
    kArithmetic = 0xC9,
    kProgressiveArithmetic = 0xCA,
    kArithmeticConditions = 0xCC,
    kLastFrame = 0xCF,
    kFirstRestart = 0xD0,
    kLastRestart = 0xD7,
    kStartOfImage = 0xD8,
    kEndOfImage = 0xD9,
    kStartOfScan = 0xDA,
    kApp1 = 0xE1,
    kApp2 = 0xE2,
    kTemporary = 0x01
};

constexpr int kMaxSegments = 10000;                  // a profile may take 255, a depth map a few hundred
constexpr int kMaxScans = 200;                       // real files have about ten
constexpr std::int64_t kMaxScanned = 2'000'000'000;  // pixels times scans: a hundred megapixels in twenty scans

[[noreturn]] void refuse(const std::string& message) { throw Error(ACNE_EDGE_STATUS_IMAGE_DECODE, message); }

struct Segment {
    int marker = 0;
    std::string_view body;
    bool whole = true;  // false: it ends beyond the file
};

// The segments of a file, one after another. Bytes before a marker are skipped, as libjpeg does.
class Segments {
public:
    Segments(const std::uint8_t* data, std::size_t size, std::size_t begin)
        : data_(reinterpret_cast<const char*>(data), size), at_(begin) {}

    // False if there is no next segment.
    bool next(Segment& segment) {
        segment = {};
        if (!find_marker(segment)) return false;
        if (segment.marker == kTemporary || (segment.marker >= kFirstRestart && segment.marker <= kEndOfImage)) return true;
        std::size_t length = 0;
        for (std::size_t i = at_; i < at_ + 2 && i < data_.size(); ++i) length = length << 8 | byte(i);
        const std::size_t begin = at_ + 2;
        at_ += std::max<std::size_t>(length, 2);
        segment.whole = at_ <= data_.size();
        if (segment.whole) segment.body = data_.substr(begin, at_ - begin);
        return true;
    }

private:
    // FF 00 is a byte of data, FF FF is padding.
    bool find_marker(Segment& segment) {
        while (at_ < data_.size() && (at_ = data_.find('\xFF', at_)) < data_.size() - 1) {
            const unsigned code = byte(++at_);
            if (code == 0x00 || code == 0xFF) continue;
            segment.marker = static_cast<int>(code);
            ++at_;
            return true;
        }
        return false;
    }

    unsigned byte(std::size_t i) const { return static_cast<unsigned char>(data_[i]); }

    std::string_view data_;
    std::size_t at_;
};

int byte_of(std::string_view body, std::size_t i) { return static_cast<unsigned char>(body[i]); }

int short_of(std::string_view body, std::size_t i) { return byte_of(body, i) << 8 | byte_of(body, i + 1); }

bool is_frame(int marker) {
    return marker >= kBaseline && marker <= kLastFrame && marker != kHuffmanTables && marker != kReserved &&
           marker != kArithmeticConditions;
}

void check_frame(const Segment& segment) {
    const std::string_view body = segment.body;
    const int kind = segment.marker;
    if (kind != kBaseline && kind != kExtended && kind != kProgressive && kind != kArithmetic && kind != kProgressiveArithmetic) {
        refuse("lossless and hierarchical JPEGs are not supported; save the photograph as a baseline JPEG");
    }
    if (body.size() < 6 || body.size() != 6 + 3 * static_cast<std::size_t>(byte_of(body, 5))) {
        refuse("image data is damaged (a frame of the wrong length)");
    }
    if (byte_of(body, 0) != 8) refuse("JPEG of " + std::to_string(byte_of(body, 0)) + " bits a sample is not supported; 8 are");
    const int components = byte_of(body, 5);
    if (components != 1 && components != 3 && components != 4) {
        refuse("JPEG of " + std::to_string(components) + " components; 1 (grey), 3 (colour) or 4 (inks) are supported");
    }
    for (int c = 0; c < components; ++c) {
        const int sampling = byte_of(body, 7 + 3 * static_cast<std::size_t>(c));
        for (const int factor : {sampling >> 4, sampling & 15}) {
            if (factor < 1 || factor > 4) refuse("image data is damaged (sampling factors)");
        }
    }
}

// Bytes of the frame's DCT coefficients: 2 a coefficient, 64 coefficients a block, in whole minimum coded units.
std::int64_t coefficients(const JpegHeader& header, std::string_view frame) {
    std::int64_t across = 1, down = 1, blocks = 0;
    for (std::size_t at = 7; at < frame.size(); at += 3) {
        const std::int64_t h = byte_of(frame, at) >> 4, v = byte_of(frame, at) & 15;
        across = std::max(across, h);
        down = std::max(down, v);
        blocks += h * v;
    }
    const auto units = [](std::int64_t side, std::int64_t step) { return (side + step - 1) / step; };
    return 128 * blocks * units(header.width, 8 * across) * units(header.height, 8 * down);
}

// Refuse a file whose scans would take too long. Counting stops where the file is damaged, which libjpeg reports.
void check_scans(Segments& segments, std::int64_t pixels) {
    std::int64_t scans = 1;
    Segment segment;
    for (int i = 0; i < kMaxSegments; ++i) {
        if (!segments.next(segment) || segment.marker == kEndOfImage) return;
        scans += segment.marker == kStartOfScan;
        if (scans > kMaxScans || scans * pixels > kMaxScanned) {
            refuse("JPEG of too many scans (" + std::to_string(scans) + " or more); save the photograph as a baseline JPEG");
        }
    }
    refuse("JPEG of more than " + std::to_string(kMaxSegments) + " segments");
}

// Collects metadata, which may be split over several segments.
class Notes {
public:
    void take(const Segment& segment, JpegHeader& header) {
        constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29), kIcc("ICC_PROFILE\0", 12);
        const auto starts = [&](std::string_view name) { return segment.body.substr(0, name.size()) == name; };
        if (segment.marker == kApp1 && starts(kExif)) {
            header.exif += segment.body.substr(kExif.size());
        } else if (segment.marker == kApp1 && starts(kXmp)) {
            header.xmp = segment.body.substr(kXmp.size());
        } else if (segment.marker == kApp2 && starts(kIcc) && segment.body.size() >= kIcc.size() + 2) {
            parts_ = byte_of(segment.body, kIcc.size() + 1);
            profile_.emplace(byte_of(segment.body, kIcc.size()), segment.body.substr(kIcc.size() + 2));
        }
    }

    // The profile, if no part of it is missing.
    std::string profile() const {
        std::string whole;
        int number = 0;
        for (const auto& [part, data] : profile_) {
            if (part != ++number) return {};
            whole += data;
        }
        return number == parts_ ? whole : std::string();
    }

private:
    std::map<int, std::string_view> profile_;  // by its number, from 1
    int parts_ = 0;
};

}  // namespace

int JpegHeader::orientation() const {
    const int value = exif_orientation(exif);
    return value != 0 ? value : xmp_orientation(xmp);
}

JpegHeader read_jpeg_header(const std::uint8_t* data, std::size_t size) {
    JpegHeader header;
    Segments segments(data, size, 2);
    Segment segment;
    std::string_view frame;
    Notes notes;
    bool progressive = false;
    for (int i = 0;; ++i) {
        if (i == kMaxSegments) refuse("JPEG of more than " + std::to_string(kMaxSegments) + " segments");
        if (!segments.next(segment) || !segment.whole) refuse("image data is damaged or cut short (in its header)");
        if (segment.marker == kStartOfImage || segment.marker == kEndOfImage) {
            refuse("image data is damaged (no pixels before the end)");
        }
        if (segment.marker == kStartOfScan) break;
        if (is_frame(segment.marker)) {
            if (!frame.empty()) refuse("image data is damaged (two frames in one JPEG)");
            check_frame(segment);
            frame = segment.body;
            progressive = segment.marker == kProgressive || segment.marker == kProgressiveArithmetic;
        }
        notes.take(segment, header);
    }
    if (frame.empty()) refuse("image data is damaged (pixels before their size)");
    header.height = short_of(frame, 1);
    header.width = short_of(frame, 3);
    header.components = byte_of(frame, 5);
    header.profile = notes.profile();
    // A scan of some components only: others follow.
    if (progressive || (segment.body.empty() ? 0 : byte_of(segment.body, 0)) < header.components) {
        check_scans(segments, static_cast<std::int64_t>(header.width) * header.height);
        header.buffered = coefficients(header, frame);
    }
    return header;
}

}  // namespace acne_edge
