// Where the photograph lies in a picture, as the Python SDK finds it, to the pixel.
#include <algorithm>

#include <gtest/gtest.h>

#include "framing.h"
#include "golden.h"

namespace acne_edge {
namespace {

TEST(Framing, FindsThePhotographWhereThePythonSdkDoes) {
    const auto pixels = read_golden("boxes.rgb");
    std::size_t at = 0, cut = 0;
    for (const auto& expected : golden()["boxes"]) {
        const int width = expected["width"], height = expected["height"];
        const ImageView image{pixels.data() + at, width, height, static_cast<std::size_t>(width) * 3};
        at += image.stride * static_cast<std::size_t>(height);
        ASSERT_LE(at, pixels.size());
        const auto& box = expected["box"];
        const Box found = find_photograph(image);
        EXPECT_EQ(found, (Box{box[0], box[1], box[2], box[3]}))
            << expected << ", not " << found.left << " " << found.top << " " << found.right << " " << found.bottom;
        cut += found != Box{0, 0, width, height};
    }
    EXPECT_EQ(at, pixels.size());
    EXPECT_GT(cut, golden()["boxes"].size() / 5);
    EXPECT_LT(cut, golden()["boxes"].size() * 4 / 5);
}

// A picture in memory of the caller's has gaps between its rows.
TEST(Framing, ReadsRowsAsFarApartAsTheyAre) {
    constexpr int kWidth = 60, kHeight = 80, kLeft = 7, kTop = 11;
    std::vector<std::uint8_t> pixels(std::size_t{kHeight} * 200, 0);
    for (int y = kTop; y < kHeight; ++y) {
        for (int x = 3 * kLeft; x < 3 * kWidth; ++x) {
            pixels[static_cast<std::size_t>(200 * y + x)] = static_cast<std::uint8_t>(100 + 37 * x * y % 90);
        }
    }
    const ImageView image{pixels.data(), kWidth, kHeight, 200};
    const Box box = find_photograph(image);
    EXPECT_EQ(box, (Box{kLeft, kTop, kWidth, kHeight}));
    const ImageView part = part_of(image, box);
    EXPECT_EQ(part.width, kWidth - kLeft);
    EXPECT_EQ(part.height, kHeight - kTop);
    EXPECT_EQ(part.row(1), pixels.data() + 200 * (kTop + 1) + 3 * kLeft);
}

TEST(Framing, ABoxGrowsWithThePhotograph) {
    const ImageView decoded{nullptr, 501, 401, 0};
    EXPECT_EQ(scaled({0, 0, 501, 401}, decoded, 1001, 802), (Box{0, 0, 1001, 802}));
    EXPECT_EQ(scaled({100, 1, 400, 400}, decoded, 1001, 802), (Box{200, 2, 799, 800}));
}

}  // namespace
}  // namespace acne_edge
