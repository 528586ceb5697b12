#include <gtest/gtest.h>

#include "resize.h"

namespace acne_edge {
namespace {

Image filled(int width, int height, std::uint8_t value) {
    Image image(width, height);
    for (int y = 0; y < height; ++y) std::fill_n(image.row(y), image.stride(), value);
    return image;
}

TEST(Resize, KeepsAFlatImageFlat) {
    for (const int value : {0, 1, 127, 254, 255}) {
        for (const int side : {32, 100, 224, 517}) {
            const Image image = filled(side, side + 3, static_cast<std::uint8_t>(value));
            const Image out = resize(image.view(), 64, 70);
            for (int y = 0; y < out.height(); ++y) {
                for (std::size_t i = 0; i < out.stride(); ++i) ASSERT_EQ(out.view().row(y)[i], value) << side;
            }
        }
    }
}

TEST(Resize, SameSizeIsACopyThatSkipsTheGapsBetweenRows) {
    const std::vector<std::uint8_t> pixels = {1, 2, 3, 4, 5, 6, 99, 7, 8, 9, 10, 11, 12, 99};
    const Image copy = resize({pixels.data(), 2, 2, 7}, 2, 2);
    const std::vector<std::uint8_t> expected = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    EXPECT_EQ(std::vector<std::uint8_t>(copy.view().data, copy.view().data + 12), expected);
}

TEST(Resize, HalvingWeighsNeighboursAsATriangle) {
    // Eight columns to four: weights 1 3 3 1 of eight; the first and last window are cut at the edge.
    Image image = filled(8, 1, 0);
    for (int c = 0; c < 3; ++c) image.row(0)[4 * 3 + c] = 80;
    const Image out = resize(image.view(), 4, 1);
    const std::vector<int> expected = {0, 10, 30, 0};
    for (int x = 0; x < 4; ++x) EXPECT_EQ(out.view().row(0)[3 * x], expected[static_cast<std::size_t>(x)]) << x;
}

}  // namespace
}  // namespace acne_edge
