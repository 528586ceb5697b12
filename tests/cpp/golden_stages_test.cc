// Decode, framing, quality and preprocess give what the Python SDK gives, pixel by pixel.
#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "colour.h"
#include "error.h"
#include "framing.h"
#include "golden.h"
#include "image.h"
#include "quality.h"
#include "resize.h"

namespace acne_edge {
namespace {

struct Difference {
    int largest = 0;
    std::size_t differing = 0;
};

Difference compare(const ImageView& image, const std::vector<std::uint8_t>& expected) {
    Difference found;
    const std::size_t size = image.stride * static_cast<std::size_t>(image.height);
    if (size != expected.size()) return {256, size};
    for (std::size_t i = 0; i < size; ++i) {
        const int difference = std::abs(image.data[i] - expected[i]);
        found.largest = std::max(found.largest, difference);
        found.differing += difference != 0;
    }
    return found;
}

int wanted_side() {
    const auto& input = golden()["input"];
    return input["decode_scale"].get<int>() * std::max(input["height"].get<int>(), input["width"].get<int>());
}

// Whether the case's pixels are other ones in a library that was built without Little CMS.
bool needs_colour_management(const std::string& name) { return name.rfind("icc_", 0) == 0; }

TEST(GoldenStages, GiveThePixelsAndScoresOfThePythonSdk) {
    const auto& cases = golden()["cases"];
    const int height = golden()["input"]["height"], width = golden()["input"]["width"];
    const int min_side = wanted_side();
    const bool converts = colour_management() != "none";
    std::size_t decoded_differ = 0, input_differ = 0, compared = 0, framed = 0;
    for (const auto& expected : cases) {
        const std::string name = expected["name"];
        SCOPED_TRACE(name);
        if (!converts && needs_colour_management(name)) continue;
        const auto jpeg = read_golden(name + ".jpg");
        if (expected.contains("error")) {
            const auto status = expected["error"] == "image_size" ? ACNE_EDGE_STATUS_IMAGE_SIZE : ACNE_EDGE_STATUS_IMAGE_DECODE;
            try {
                decode_jpeg(jpeg.data(), jpeg.size(), min_side);
                ADD_FAILURE() << "decoded what the Python SDK refuses with " << expected["error"];
            } catch (const Error& error) {
                EXPECT_EQ(error.status(), status) << error.what();
            }
            continue;
        }
        Photograph photograph = decode_jpeg(jpeg.data(), jpeg.size(), min_side);
        const Image& image = photograph.pixels;
        EXPECT_EQ(photograph.width, expected["predictions"][0]["image"]["width"]);
        EXPECT_EQ(photograph.height, expected["predictions"][0]["image"]["height"]);
        ASSERT_EQ(image.width(), expected["width"]);
        ASSERT_EQ(image.height(), expected["height"]);
        const Difference decoded = compare(image.view(), read_golden(name + ".decoded"));
        EXPECT_LE(decoded.largest, 1) << decoded.differing << " values differ in the decoded image";

        const Box box = find_photograph(photograph, jpeg.data(), jpeg.size(), min_side);  // which may decode again
        const Box crop = scaled(box, image.view(), photograph.width, photograph.height);
        const auto& cut = expected["predictions"][0]["image"]["crop"];
        const Box whole{0, 0, photograph.width, photograph.height};
        EXPECT_EQ(crop != whole, !cut.is_null());
        if (!cut.is_null()) {
            EXPECT_EQ(crop, (Box{cut["left"], cut["top"], cut["right"], cut["bottom"]})) << cut;
            ++framed;
        }
        const ImageView part = part_of(image.view(), box);
        const Difference input = compare(resize(part, width, height).view(), read_golden(name + ".input"));
        EXPECT_LE(input.largest, 1) << input.differing << " values differ in the network's input";
        decoded_differ += decoded.differing != 0;
        input_differ += input.differing != 0;
        ++compared;

        const acne_edge_quality quality =
            assess(resize(part, kQualitySide, kQualitySide).view(), std::min(part.width, part.height));
        const auto& scores = expected["quality"];
        EXPECT_EQ(quality.short_side, scores["short_side"]);
        EXPECT_NEAR(quality.brightness, scores["brightness"], 0.01);
        EXPECT_NEAR(quality.clipped, scores["clipped"], 0.0001);
        EXPECT_NEAR(quality.sharpness, scores["sharpness"], 0.001);
        EXPECT_NEAR(quality.noise, scores["noise"], 0.001);
        EXPECT_NEAR(quality.colour_detail, scores["colour_detail"], 0.001);
        EXPECT_NEAR(quality.skin, scores["skin"], 0.0001);
        std::vector<std::string> reasons;
        for (const auto& reason : kQualityReasons) {
            if (quality.reasons & reason.bit) reasons.push_back(reason.code);
        }
        EXPECT_EQ(reasons, scores["reasons"].get<std::vector<std::string>>());
    }
    EXPECT_GT(compared, 50U);
    EXPECT_GE(framed, 15U);
    std::printf("%zu photographs: decoded not bit for bit %zu, input not bit for bit %zu\n", compared, decoded_differ,
                input_differ);
}

// Every verdict is the same. So are the pixels, but for a few files: where data are missing, versions of libjpeg-turbo fill in
// differently.
TEST(GoldenStages, JudgeDamagedJpegsAsThePythonSdkDoes) {
    const int min_side = wanted_side();
    std::size_t decoded = 0, refused = 0, other_pixels = 0;
    for (const auto& expected : golden()["mutants"]) {
        const std::string name = expected["name"];
        SCOPED_TRACE(name);
        const auto jpeg = read_golden(name + ".jpg");
        const std::string python = expected.value("error", "predicted");
        try {
            const Image image = decode_jpeg(jpeg.data(), jpeg.size(), min_side).pixels;
            EXPECT_EQ(python, "predicted");
            if (python != "predicted") continue;
            ++decoded;
            other_pixels += compare(image.view(), read_golden(name + ".decoded")).largest > 1;
        } catch (const Error& error) {
            EXPECT_EQ(python, error.status() == ACNE_EDGE_STATUS_IMAGE_SIZE ? "image_size" : "image_decode") << error.what();
            ++refused;
        }
    }
    EXPECT_GT(decoded, 100U);
    EXPECT_GT(refused, 100U);
    if (colour_management() != "none") {
        EXPECT_LE(other_pixels, 1 + decoded / 100);
    }
    std::printf("%zu damaged JPEGs decoded, %zu of them to other pixels; %zu refused\n", decoded, other_pixels, refused);
}

}  // namespace
}  // namespace acne_edge
