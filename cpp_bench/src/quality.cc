#include "quality.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "resize.h"

namespace acne_edge {
namespace {

constexpr int kSide = 128;  // pixels of the thumbnail

// Pillow's RGB -> YCbCr: each product is rounded to six bits, then they are summed.
int product(int value, double factor) { return static_cast<int>(value * factor * 64 + 0.5); }

struct YCbCr {
    int y, cb, cr;
};

YCbCr to_ycbcr(const std::uint8_t* rgb) {
    const int r = rgb[0], g = rgb[1], b = rgb[2];
    return {(product(r, 0.299) + product(g, 0.587) + product(b, 0.114)) >> 6,
            ((product(r, -0.16874) + product(g, -0.33126) + product(b, 0.5)) >> 6) + 128,
            ((product(r, 0.5) + product(g, -0.41869) + product(b, -0.08131)) >> 6) + 128};
}

// The variance of numbers from 0 to 255, as many as the thumbnail has pixels. Exact, because that number is a power of two.
class Variance {
public:
    void add(int value) {
        sum_ += value;
        squares_ += value * value;
    }
    double value() const {
        constexpr double kPixels = kSide * kSide;
        const double mean = sum_ / kPixels;
        return squares_ / kPixels - mean * mean;
    }

private:
    int sum_ = 0;
    int squares_ = 0;  // at most 255 * 255 * 128 * 128
};

}  // namespace

acne_edge_quality assess(const ImageView& image) {
    const Image small = resize_reduced(image, kSide, kSide);
    std::array<std::array<int, kSide>, kSide> luma;
    Variance of_y, of_cb, of_cr;
    int total = 0, white = 0, skin = 0, laplacian = 0;  // exact: at most 4 * 255 * 128 * 128
    for (int y = 0; y < kSide; ++y) {
        const std::uint8_t* pixel = small.view().row(y);
        for (int x = 0; x < kSide; ++x, pixel += 3) {
            const YCbCr colour = to_ycbcr(pixel);
            luma[y][x] = colour.y;
            of_y.add(colour.y);
            of_cb.add(colour.cb);
            of_cr.add(colour.cr);
            total += colour.y;
            white += colour.y >= 250;
            // Chai and Ngan, IEEE CSVT 1999: skin of all tones lies in this rectangle of chroma.
            skin += colour.cb >= 77 && colour.cb <= 127 && colour.cr >= 133 && colour.cr <= 173;
        }
    }
    for (int y = 1; y < kSide - 1; ++y) {
        for (int x = 1; x < kSide - 1; ++x) {
            laplacian += std::abs(luma[y][x - 1] + luma[y][x + 1] + luma[y - 1][x] + luma[y + 1][x] - 4 * luma[y][x]);
        }
    }
    constexpr double kPixels = kSide * kSide, kInner = (kSide - 2) * (kSide - 2);
    acne_edge_quality quality{};
    quality.short_side = std::min(image.width, image.height);
    quality.brightness = total / kPixels;
    quality.clipped = white / kPixels;
    quality.sharpness = laplacian / kInner;
    quality.skin = skin / kPixels;
    if (of_y.value() + of_cb.value() + of_cr.value() < 16) quality.reasons |= ACNE_EDGE_QUALITY_BLANK;
    if (quality.short_side < 160) quality.reasons |= ACNE_EDGE_QUALITY_LOW_RESOLUTION;
    if (quality.brightness < 45) quality.reasons |= ACNE_EDGE_QUALITY_TOO_DARK;
    if (quality.brightness > 195 || quality.clipped > 0.25) quality.reasons |= ACNE_EDGE_QUALITY_TOO_BRIGHT;
    if (quality.sharpness < 4.0) quality.reasons |= ACNE_EDGE_QUALITY_BLURRED;
    if (quality.skin < 0.15) quality.reasons |= ACNE_EDGE_QUALITY_NO_SKIN;
    return quality;
}

}  // namespace acne_edge
