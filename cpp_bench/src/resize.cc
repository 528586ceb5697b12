#include "resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace acne_edge {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // of a coefficient: eight bits for the pixel, two for the sum's overshoot
constexpr std::int32_t kHalf = 1 << (kPrecisionBits - 1);

std::uint8_t clip(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

// The weights of one axis's pixels in each output pixel.
struct Taps {
    struct Window {
        int first;
        int count;
    };
    std::vector<Window> windows;        // one an output pixel
    std::vector<std::int32_t> weights;  // `stride` an output pixel, fixed point
    int stride;

    const std::int32_t* of(int output) const { return weights.data() + static_cast<std::size_t>(output) * stride; }
};

double triangle(double x) { return x < 0 ? (x > -1 ? 1 + x : 0) : (x < 1 ? 1 - x : 0); }

// The taps of an axis of `in` pixels, of which 0..extent, a fraction perhaps, are stretched over `out` pixels. `extent` is a
// float because it is one in Pillow.
Taps make_taps(int in, float extent, int out) {
    const double scale = static_cast<double>(extent) / out;
    const double filter_scale = std::max(scale, 1.0);
    const double support = filter_scale;  // a triangle reaches one pixel either way
    Taps taps;
    taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
    taps.windows.resize(out);
    taps.weights.resize(static_cast<std::size_t>(out) * taps.stride);
    std::vector<double> exact(taps.stride);
    for (int i = 0; i < out; ++i) {
        const double centre = (i + 0.5) * scale;
        const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
        const int count = std::min(static_cast<int>(centre + support + 0.5), in) - first;
        double total = 0;
        for (int k = 0; k < count; ++k) {
            exact[k] = triangle((k + first - centre + 0.5) * (1.0 / filter_scale));
            total += exact[k];
        }
        for (int k = 0; k < count; ++k) {
            const double weight = total != 0 ? exact[k] / total : exact[k];
            taps.weights[static_cast<std::size_t>(i) * taps.stride + k] =
                static_cast<std::int32_t>(0.5 + weight * (1 << kPrecisionBits));
        }
        taps.windows[i] = {first, count};
    }
    return taps;
}

Image resample_rows(const ImageView& image, float extent, int width, int first_row, int rows) {
    const Taps taps = make_taps(image.width, extent, width);
    Image out(width, rows);
    for (int y = 0; y < rows; ++y) {
        const std::uint8_t* from = image.row(first_row + y);
        std::uint8_t* to = out.row(y);
        for (int x = 0; x < width; ++x, to += 3) {
            const Taps::Window window = taps.windows[x];
            const std::int32_t* weights = taps.of(x);
            const std::uint8_t* pixel = from + std::ptrdiff_t{3} * window.first;
            std::int32_t red = kHalf, green = kHalf, blue = kHalf;
            for (int k = 0; k < window.count; ++k, pixel += 3) {
                red += pixel[0] * weights[k];
                green += pixel[1] * weights[k];
                blue += pixel[2] * weights[k];
            }
            to[0] = clip(red);
            to[1] = clip(green);
            to[2] = clip(blue);
        }
    }
    return out;
}

// `image` begins with the row `first_row` of the image that the taps are of.
Image resample_columns(const ImageView& image, const Taps& taps, int height, int first_row) {
    Image out(image.width, height);
    const int values = image.width * 3;
    std::vector<std::int32_t> sums(values);
    for (int y = 0; y < height; ++y) {
        const Taps::Window window = taps.windows[y];
        std::fill(sums.begin(), sums.end(), kHalf);
        for (int k = 0; k < window.count; ++k) {  // row by row, so that the compiler makes vectors of it
            const std::uint8_t* from = image.row(window.first - first_row + k);
            const std::int32_t weight = taps.of(y)[k];
            for (int i = 0; i < values; ++i) sums[i] += from[i] * weight;
        }
        std::uint8_t* to = out.row(y);
        for (int i = 0; i < values; ++i) to[i] = clip(sums[i]);
    }
    return out;
}

Image copy(const ImageView& image) {
    Image out(image.width, image.height);
    for (int y = 0; y < image.height; ++y) std::memcpy(out.row(y), image.row(y), out.stride());
    return out;
}

// The order of the passes changes the last bit, because each rounds to eight bits. Since version 13 Pillow begins with the
// columns if that shortens the image by much more than the rows narrow it; before, it always began with the rows.
bool columns_first(const ImageView& image, int width, int height) {
    return image.height > height && image.height - height > 2 * (image.width - width);
}

// Stretch the part 0..across, 0..down of an image over width x height pixels.
Image resample(const ImageView& image, float across, float down, int width, int height) {
    const bool horizontal = width != image.width || across != static_cast<float>(width);
    const bool vertical = height != image.height || down != static_cast<float>(height);
    if (!vertical) return horizontal ? resample_rows(image, across, width, 0, height) : copy(image);
    const Taps taps = make_taps(image.height, down, height);
    if (!horizontal) return resample_columns(image, taps, height, 0);
    if (columns_first(image, width, height)) {
        return resample_rows(resample_columns(image, taps, height, 0).view(), across, width, 0, height);
    }
    const int first = taps.windows.front().first;
    const int last = taps.windows.back().first + taps.windows.back().count;
    return resample_columns(resample_rows(image, across, width, first, last - first).view(), taps, height, first);
}

}  // namespace

Image resize(const ImageView& image, int width, int height) {
    return resample(image, static_cast<float>(image.width), static_cast<float>(image.height), width, height);
}

}  // namespace acne_edge
