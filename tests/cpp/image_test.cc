#include <array>

#include <gtest/gtest.h>

#include "error.h"
#include "exif.h"
#include "image.h"
#include "jpeg_header.h"

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

// Bytes from hexadecimal digits.
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

TEST(Exif, AValueThatIsNotThereIsUprightOrSaysNothing) {
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000"
                                    "0100"
                                    "120103000000000006000000"
                                    "00000000")),
              1);  // count 0
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000"
                                    "0100"
                                    "120102000100000006000000"
                                    "00000000")),
              1);  // text
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000"
                                    "0100"
                                    "1201030001000000")),
              0);                     // cut before the value
    EXPECT_EQ(exif_orientation(tiff("49492a0008000000"
                                    "0200"
                                    "120103000100000003000000"
                                    "120103000100000006000000")),
              3);
}

TEST(Exif, ReadsXmp) {
    EXPECT_EQ(xmp_orientation("<a tiff:Orientation=\"6\"/>"), 6);
    EXPECT_EQ(xmp_orientation("<tiff:Orientation>8</tiff:Orientation>"), 8);
    EXPECT_EQ(xmp_orientation("<tiff:Orientation/><b tiff:Orientation=\"3\"/>"), 3);
    EXPECT_EQ(xmp_orientation("tiff:Orientation=\""), 0);
    EXPECT_EQ(xmp_orientation(""), 0);
}

// The frame and the first scan's start of a JPEG of 100 x 90 pixels, 4:2:0.
std::string frame(const char* marker, const char* scan = "ffda000c03010002110311003f00") {
    return tiff(marker) +
           tiff(
               "001108"
               "005a0064"
               "03"
               "012200"
               "021101"
               "031101") +
           tiff(scan);
}

JpegHeader header_of(const std::string& behind_start) {
    const std::string jpeg = tiff("ffd8") + behind_start;
    return read_jpeg_header(reinterpret_cast<const std::uint8_t*>(jpeg.data()), jpeg.size());
}

TEST(JpegHeader, ReadsSizeAndComponents) {
    const JpegHeader header = header_of(frame("ffc0"));
    EXPECT_EQ(header.width, 100);
    EXPECT_EQ(header.height, 90);
    EXPECT_EQ(header.components, 3);
    EXPECT_EQ(header.buffered, 0);
}

TEST(JpegHeader, SeveralScansAreBuffered) {
    // Units of 16 pixels: 7 by 6 of them, of six blocks of 64 coefficients of two bytes.
    EXPECT_EQ(header_of(frame("ffc2")).buffered, 7 * 6 * 6 * 128);
    EXPECT_EQ(header_of(frame("ffc0", "ffda0008010100003f00")).buffered, 7 * 6 * 6 * 128);  // of one component of three
}

TEST(JpegHeader, CountsScans) {
    const std::string scan = tiff(
        "ffda0008010100003f00"
        "12ff00ffd034");
    std::string scans;
    for (int i = 0; i < 199; ++i) scans += scan;
    EXPECT_NO_THROW(header_of(frame("ffc2") + scans + tiff("ffd9")));
    EXPECT_THROW(header_of(frame("ffc2") + scans + scan + tiff("ffd9")), Error);
    EXPECT_NO_THROW(header_of(frame("ffc2") + scans + tiff("ffd9") + scan));
    EXPECT_NO_THROW(header_of(frame("ffc0") + scans + scan));  // libjpeg reads one
}

TEST(JpegHeader, PassesOverWhatStandsBetweenSegments) {
    for (const char* odd : {"ff01", "ffd3", "ffffffff", "1234ff00",
                            "ffe00007"
                            "4a46494600",
                            "ffe50000", "ffe50002"}) {
        EXPECT_EQ(header_of(tiff(odd) + frame("ffc0")).width, 100) << odd;
    }
}

TEST(JpegHeader, RefusesWhatIsNotDecoded) {
    for (const char* marker : {"ffc3", "ffc5", "ffc7", "ffcb", "ffcf"}) EXPECT_THROW(header_of(frame(marker)), Error) << marker;
    const std::string bare = frame("ffc0", "");
    EXPECT_THROW(header_of(bare + frame("ffc0")), Error);  // two frames
    EXPECT_THROW(header_of(""), Error);
    EXPECT_THROW(header_of(tiff("ffd9") + frame("ffc0")), Error);
    EXPECT_THROW(header_of(tiff("ffda000c03010002110311003f00")), Error);
    EXPECT_THROW(header_of(tiff("ffc0000b08005a0064020111000211")), Error);  // two components, and cut
    const std::string whole = frame("ffc0");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        EXPECT_THROW(header_of(whole.substr(0, length)), Error) << length;
    }
}

TEST(JpegHeader, JoinsWhatIsCutInSegments) {
    const std::string first = tiff("ffe1000b457869660000") + "one", second = tiff("ffe1000b457869660000") + "two";
    const std::string icc = tiff("4943435f50524f46494c4500");
    const std::string two = tiff("ffe20011") + icc + tiff("0202") + "b", one = tiff("ffe20011") + icc + tiff("0102") + "a";
    const JpegHeader header = header_of(first + two + second + one + frame("ffc0"));
    EXPECT_EQ(header.exif, "onetwo");
    EXPECT_EQ(header.profile, "ab");
    EXPECT_EQ(header_of(two + frame("ffc0")).profile, "");
    EXPECT_EQ(header_of(one + frame("ffc0")).profile, "");
}

}  // namespace
}  // namespace acne_edge
