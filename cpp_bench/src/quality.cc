#include "quality.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace acne_edge {
namespace {

constexpr int kSide = kQualitySide;
constexpr int kPixels = kSide * kSide;
constexpr int kBlocks = 15, kBlock = 16;          // blocks a side, and pixels a side of each
constexpr int kEdge = (kSide - kBlocks * kBlock) / 2;
constexpr std::array<int, 3> kRadii = {1, 2, 4};  // of the squares whose means divide the bands
constexpr int kAt25 = 56, kAt50 = 112, kAt75 = 168;  // ranks among the blocks

// The thresholds of acne_edge/quality.py.
constexpr double kBlankVariance = 16;
constexpr int kMinShortSide = 160;
constexpr double kDark = 50, kBright = 200, kMaxClipped = 0.25;
constexpr double kMinSharpness = 0.36;
constexpr double kMaxNoise = 2.7;
constexpr double kMinColourDetail = 0.55, kMinGrain = 0.02;
constexpr double kMinSkin = 0.1;

// Pillow's RGB -> YCbCr: each product is rounded to six bits, then they are summed.
using Products = std::array<std::int16_t, 256>;  // of each value of a channel and one factor

constexpr Products products(double factor) {
    Products table{};
    for (std::size_t value = 0; value < table.size(); ++value) {
        table[value] = static_cast<std::int16_t>(static_cast<int>(value) * factor * 64 + 0.5);
    }
    return table;
}

constexpr Products kRedY = products(0.299), kGreenY = products(0.587), kBlueY = products(0.114);
constexpr Products kRedCb = products(-0.16874), kGreenCb = products(-0.33126), kBlueCb = products(0.5);
constexpr Products kRedCr = products(0.5), kGreenCr = products(-0.41869), kBlueCr = products(-0.08131);

struct YCbCr {
    int y, cb, cr;
};

YCbCr to_ycbcr(const std::uint8_t* rgb) {
    const int r = rgb[0], g = rgb[1], b = rgb[2];
    return {(kRedY[r] + kGreenY[g] + kBlueY[b]) >> 6, ((kRedCb[r] + kGreenCb[g] + kBlueCb[b]) >> 6) + 128,
            ((kRedCr[r] + kGreenCr[g] + kBlueCr[b]) >> 6) + 128};
}

// The sum of the variances of three channels, over means of 4 x 4 pixels. Exact: the number of means is a power of two.
double variance(const std::vector<YCbCr>& colours) {
    constexpr int kMeans = kSide / 4;
    double total = 0;
    for (const int YCbCr::* channel : {&YCbCr::y, &YCbCr::cb, &YCbCr::cr}) {
        std::int64_t sum = 0, squares = 0;  // of means times 16
        for (int y = 0; y < kMeans; ++y) {
            for (int x = 0; x < kMeans; ++x) {
                std::int64_t sixteen = 0;
                for (int k = 0; k < 16; ++k) sixteen += colours[(4 * y + k / 4) * kSide + 4 * x + k % 4].*channel;
                sum += sixteen;
                squares += sixteen * sixteen;
            }
        }
        constexpr double kNumber = kMeans * kMeans;
        const double mean = static_cast<double>(sum) / kNumber;
        total += (static_cast<double>(squares) / kNumber - mean * mean) / 256;
    }
    return total;
}

using Plane = std::vector<std::int32_t>;  // kSide x kSide

// Sums over squares of 2 * radius + 1 pixels a side, right for the pixels of the blocks. `rows` holds sums over 2 * reach + 1 rows,
// and then over 2 * radius + 1: the rows of a square are those of the smaller one and a few more.
Plane square_sums(const Plane& channel, Plane& rows, int reach, int radius) {
    Plane sums(kPixels);
    for (int y = kEdge; y < kSide - kEdge; ++y) {
        std::int32_t* const row = &rows[y * kSide];
        for (int k = reach + 1; k <= radius; ++k) {
            const std::int32_t *const above = &channel[(y - k) * kSide], *const below = &channel[(y + k) * kSide];
            for (int x = 0; x < kSide; ++x) row[x] += above[x] + below[x];
        }
        std::int32_t* const sum = &sums[y * kSide];
        for (int k = -radius; k <= radius; ++k) {
            for (int x = kEdge; x < kSide - kEdge; ++x) sum[x] += row[x + k];
        }
    }
    return sums;
}

using Band = std::array<double, kBlocks * kBlocks>;  // mean absolute detail of each block, sorted, in the channel's units

// The detail of a channel in three bands, finest first.
std::array<Band, 3> measure_detail(const Plane& channel) {
    std::array<Band, 3> bands;
    Plane inner = channel, rows = channel;
    int n = 1, reach = 0;
    for (std::size_t b = 0; b < bands.size(); ++b) {
        const Plane outer = square_sums(channel, rows, reach, kRadii[b]);
        reach = kRadii[b];
        const int m = (2 * kRadii[b] + 1) * (2 * kRadii[b] + 1);
        for (int block = 0; block < kBlocks * kBlocks; ++block) {
            const int top = kEdge + block / kBlocks * kBlock, left = kEdge + block % kBlocks * kBlock;
            std::int32_t sum = 0;  // n * m times the band, below 2^30
            for (int y = top; y < top + kBlock; ++y) {
                for (int at = y * kSide + left; at < y * kSide + left + kBlock; ++at)
                    sum += std::abs(m * inner[at] - n * outer[at]);
            }
            bands[b][block] = static_cast<double>(sum) / (n * m * kBlock * kBlock);
        }
        std::sort(bands[b].begin(), bands[b].end());
        inner = outer;
        n = m;
    }
    return bands;
}

double ratio(double value, double base) { return base != 0 ? value / base : 0; }

}  // namespace

acne_edge_quality assess(const ImageView& small, int short_side) {
    std::vector<YCbCr> colours(kPixels);
    Plane luma(kPixels), redness(kPixels);
    int total = 0, skin_total = 0, skin = 0, blown = 0;
    for (int at = 0; at < kPixels; ++at) {
        const std::uint8_t* pixel = small.row(at / kSide) + at % kSide * 3;
        const int r = pixel[0], g = pixel[1], b = pixel[2];
        const YCbCr colour = colours[at] = to_ycbcr(pixel);
        // Chai and Ngan, IEEE CSVT 1999: skin of all tones lies in this rectangle of chroma.
        const bool is_skin = colour.cb >= 77 && colour.cb <= 127 && colour.cr >= 133 && colour.cr <= 173;
        total += colour.y;
        skin += is_skin;
        skin_total += is_skin ? colour.y : 0;
        blown += r >= 250 && r - b >= 8;  // skin keeps a little colour there; a white wall does not
        luma[at] = r + 2 * g + b;
        redness[at] = r - g;
    }
    const bool enough = skin > kMinSkin * kPixels;
    const auto detail = measure_detail(luma), colour_detail = measure_detail(redness);
    acne_edge_quality quality{};
    quality.short_side = short_side;
    quality.brightness = enough ? static_cast<double>(skin_total) / skin : static_cast<double>(total) / kPixels;
    quality.clipped = blown != 0 ? static_cast<double>(blown) / (blown + skin) : 0;
    quality.sharpness = ratio(detail[0][kAt75], detail[2][kAt75]);
    quality.noise = colour_detail[0][kAt25];
    quality.colour_detail = ratio(colour_detail[0][kAt50], colour_detail[2][kAt50]);
    quality.skin = static_cast<double>(skin) / kPixels;
    const auto flag = [&](bool failed, std::uint32_t bit) { quality.reasons |= failed ? bit : 0; };
    flag(variance(colours) < kBlankVariance, ACNE_EDGE_QUALITY_BLANK);
    flag(short_side < kMinShortSide, ACNE_EDGE_QUALITY_LOW_RESOLUTION);
    flag(quality.brightness < kDark, ACNE_EDGE_QUALITY_TOO_DARK);
    flag(quality.brightness > kBright || quality.clipped > kMaxClipped, ACNE_EDGE_QUALITY_TOO_BRIGHT);
    flag(quality.sharpness < kMinSharpness, ACNE_EDGE_QUALITY_BLURRED);
    flag(quality.noise > kMaxNoise, ACNE_EDGE_QUALITY_NOISY);
    flag(quality.noise > kMinGrain && quality.colour_detail < kMinColourDetail, ACNE_EDGE_QUALITY_COMPRESSED);
    flag(skin < kMinSkin * kPixels, ACNE_EDGE_QUALITY_NO_SKIN);
    return quality;
}

}  // namespace acne_edge
