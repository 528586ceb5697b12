#include <string>

#include <gtest/gtest.h>

#include "colour.h"
#include "golden.h"
#include "image.h"
#include "jpeg_header.h"

namespace acne_edge {
namespace {

JpegHeader header_of(const std::string& name) {
    const auto jpeg = read_golden(name + ".jpg");
    return read_jpeg_header(jpeg.data(), jpeg.size());
}

TEST(Colour, KnowsSrgbByItsPrimariesAndCurves) {
    const std::string srgb = header_of("profile_srgb").profile;
    ASSERT_GT(srgb.size(), 2000U);
    EXPECT_TRUE(is_srgb(srgb));
    EXPECT_EQ(make_conversion(srgb, Pixels::kRgb), nullptr);
    for (const char* space : {"icc_p3", "icc_adobe", "icc_rec2020", "icc_prophoto"}) {
        EXPECT_FALSE(is_srgb(header_of(space).profile)) << space;
    }
    for (std::size_t length = 0; length < srgb.size(); ++length) {
        if (is_srgb(std::string_view(srgb).substr(0, length))) {
            EXPECT_GT(length, 1500U);  // the end of a table that is looked at in four places
        }
    }
}

TEST(Colour, AnUnusableProfileIsPassedOver) {
    for (const char* name : {"profile_cut", "profile_of_inks", "profile_huge", "profile_none", "profile_lacks_a_part"}) {
        EXPECT_EQ(make_conversion(header_of(name).profile, Pixels::kRgb), nullptr) << name;
    }
    EXPECT_EQ(make_conversion("", Pixels::kRgb), nullptr);
    EXPECT_EQ(make_conversion(header_of("icc_p3").profile, Pixels::kGrey), nullptr);
    EXPECT_EQ(make_conversion(header_of("icc_p3").profile, Pixels::kInks), nullptr);
}

TEST(Colour, SaysWhetherItCanConvert) {
    const bool converts = make_conversion(header_of("icc_p3").profile, Pixels::kRgb) != nullptr;
    EXPECT_EQ(converts, colour_management() != "none");
    if (converts) {
        EXPECT_EQ(colour_management().rfind("Little CMS 2.", 0), 0U) << colour_management();
    }
}

TEST(Colour, WhiteStaysWhiteAndGreyStaysGrey) {
    for (const char* space : {"icc_p3", "icc_adobe", "icc_rec2020", "icc_prophoto"}) {
        const auto conversion = make_conversion(header_of(space).profile, Pixels::kRgb);
        if (!conversion) GTEST_SKIP() << "built without Little CMS";
        for (const int level : {0, 255, 128}) {
            std::uint8_t pixel[3] = {};
            for (auto& channel : pixel) channel = static_cast<std::uint8_t>(level);
            conversion->run(pixel, pixel, 1);
            for (const int channel : pixel) {
                EXPECT_NEAR(channel, pixel[0], 1) << space;
                if (level != 128) {
                    EXPECT_NEAR(channel, level, 1) << space;
                }
            }
        }
    }
}

}  // namespace
}  // namespace acne_edge
