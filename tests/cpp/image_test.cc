#include <array>

#include <gtest/gtest.h>

#include "error.h"
#include "exif.h"
#include "image.h"

namespace acne_edge {
namespace {

TEST(Image, ScaleKeepsBothSidesAtTheWantedSize) {
    EXPECT_EQ(dct_scale(3112, 3456, 448), 4);  // 6 fits, and 4 is the largest scale not above it
    EXPECT_EQ(dct_scale(3584, 3584, 448), 8);
    EXPECT_EQ(dct_scale(3583, 3584, 448), 4);
    EXPECT_EQ(dct_scale(896, 5000, 448), 2);
    EXPECT_EQ(dct_scale(895, 895, 448), 1);
    EXPECT_EQ(dct_scale(10, 10, 448), 1);
    EXPECT_EQ(dct_scale(65500, 1500, 32), 8);
}

TEST(Image, SizeLimitsAreThoseOfThePythonSdk) {
    EXPECT_NO_THROW(check_size(32, 32));
    EXPECT_NO_THROW(check_size(10000, 10000));
    EXPECT_THROW(check_size(31, 1000), Error);
    EXPECT_THROW(check_size(1000, 31), Error);
    EXPECT_THROW(check_size(10001, 10000), Error);
    EXPECT_THROW(check_size(0, 0), Error);
}

// The picture   1 2 3   after each orientation, row by row.
//               4 5 6
TEST(Image, EveryOrientationTurnsUpright) {
    struct Case {
        int orientation, width, height;
        std::array<int, 6> pixels;
    };
    const Case cases[] = {
        {0, 3, 2, {1, 2, 3, 4, 5, 6}}, {1, 3, 2, {1, 2, 3, 4, 5, 6}}, {2, 3, 2, {3, 2, 1, 6, 5, 4}},
        {3, 3, 2, {6, 5, 4, 3, 2, 1}}, {4, 3, 2, {4, 5, 6, 1, 2, 3}}, {5, 2, 3, {1, 4, 2, 5, 3, 6}},
        {6, 2, 3, {4, 1, 5, 2, 6, 3}}, {7, 2, 3, {6, 3, 5, 2, 4, 1}}, {8, 2, 3, {3, 6, 2, 5, 1, 4}},
        {9, 3, 2, {1, 2, 3, 4, 5, 6}},
    };
    for (const Case& expected : cases) {
        SCOPED_TRACE(expected.orientation);
        Image stored(3, 2);
        for (int i = 0; i < 6; ++i) {
            for (int c = 0; c < 3; ++c) stored.row(i / 3)[i % 3 * 3 + c] = static_cast<std::uint8_t>(10 * (i + 1) + c);
        }
        const Image upright = turn_upright(std::move(stored), expected.orientation);
        ASSERT_EQ(upright.width(), expected.width);
        ASSERT_EQ(upright.height(), expected.height);
        for (int i = 0; i < 6; ++i) {
            const auto* pixel = upright.view().row(i / expected.width) + i % expected.width * 3;
            for (int c = 0; c < 3; ++c) EXPECT_EQ(pixel[c], 10 * expected.pixels[static_cast<std::size_t>(i)] + c);
        }
    }
}

std::string tiff(const char* hex) {
    std::string bytes;
    for (; hex[0] != 0; hex += 2) bytes += static_cast<char>(std::stoi(std::string(hex, 2), nullptr, 16));
    return bytes;
}

// clang-format off: a field a string
TEST(Exif, ReadsAnOrientationInEitherByteOrder) {
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000" "0100" "120103000100000006000000" "00000000")), 6);
    EXPECT_EQ(exif_orientation(tiff("4d4d002a00000008" "0001" "011200030000000100080000" "00000000")), 8);
    EXPECT_EQ(exif_orientation(tiff("4d4d002a00000008" "0001" "011200040000000100000005" "00000000")), 5);
}

TEST(Exif, OfSeveralValuesTheFirstCounts) {
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000" "0100" "12010300030000001a000000" "00000000" "070002000300")), 7);
}

TEST(Exif, WhatIsDamagedIsNoOrientation) {
    const std::string whole = tiff("49492a0008000000" "0100" "120103000100000006000000" "00000000");
    for (std::size_t length = 0; length < 20; ++length) {
        EXPECT_LE(exif_orientation(std::string_view(whole).substr(0, length)), 1) << length;
    }
    EXPECT_EQ(exif_orientation("nothing of the kind"), 1);
    EXPECT_EQ(exif_orientation(tiff("49492a00ffffffff" "0100" "120103000100000006000000")), 0);   // directory outside
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000" "0100" "1201030002ffffffff000000")), 0);   // value outside
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000" "0100" "120103000100000009000000")), 1);   // no such orientation
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000" "ffff" "0f0103000100000006000000")), 0);   // more entries than data
}
// clang-format on

TEST(Exif, ReadsXmp) {
    EXPECT_EQ(xmp_orientation("<a tiff:Orientation=\"6\"/>"), 6);
    EXPECT_EQ(xmp_orientation("<tiff:Orientation>8</tiff:Orientation>"), 8);
    EXPECT_EQ(xmp_orientation("<tiff:Orientation/><b tiff:Orientation=\"3\"/>"), 3);
    EXPECT_EQ(xmp_orientation("tiff:Orientation=\""), 0);
    EXPECT_EQ(xmp_orientation(""), 0);
}

}  // namespace
}  // namespace acne_edge
