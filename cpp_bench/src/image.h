// Decodes JPEG bytes to upright RGB pixels, as acne_edge/image.py does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace acne_edge {

inline constexpr int kMinSide = 32;                    // pixels; below it there is nothing to count on
inline constexpr std::int64_t kMaxPixels = 100000000;  // larger images are refused before they are decoded

// RGB pixels of someone else: rows of width * 3 bytes, `stride` bytes apart.
struct ImageView {
    const std::uint8_t* data = nullptr;
    int width = 0;
    int height = 0;
    std::size_t stride = 0;

    const std::uint8_t* row(int y) const { return data + static_cast<std::size_t>(y) * stride; }
};

// RGB pixels without gaps between the rows. Fresh ones are not initialised.
class Image {
public:
    Image() = default;
    Image(int width, int height)
        : width_(width), height_(height), data_(new std::uint8_t[static_cast<std::size_t>(width) * height * 3]) {}

    int width() const { return width_; }
    int height() const { return height_; }
    std::size_t stride() const { return static_cast<std::size_t>(width_) * 3; }
    std::uint8_t* row(int y) { return data_.get() + static_cast<std::size_t>(y) * stride(); }
    ImageView view() const { return {data_.get(), width_, height_, stride()}; }

private:
    int width_ = 0;
    int height_ = 0;
    std::unique_ptr<std::uint8_t[]> data_;
};

// A decoded, upright photograph.
struct Photograph {
    Image pixels;   // perhaps at a reduced DCT scale
    int width = 0;  // pixels of the photograph itself
    int height = 0;
};

// Throws Error if a side is too short or the image has too many pixels.
void check_size(std::int64_t width, std::int64_t height);

// The DCT scale, 1, 2, 4 or 8, at which a JPEG is decoded so that both sides stay at or above `min_side`.
int dct_scale(int width, int height, int min_side);

// Decode and turn upright. Throws Error if the bytes are not a JPEG, damaged or cut short, or the size is not accepted.
Photograph decode_jpeg(const std::uint8_t* data, std::size_t size, int min_side);

// Turn by an EXIF orientation, 1..8; other values change nothing.
Image turn_upright(Image image, int orientation);

}  // namespace acne_edge
