// The manifest is read by the rules of the Python SDK.
#include <gtest/gtest.h>

#include "error.h"
#include "golden.h"
#include "manifest.h"

namespace acne_edge {
namespace {

// "manifest.input.height" of "manifest.input.height is 15; expected 16..4096"; parsers word syntax errors each in their way.
std::string field(const std::string& message) {
    return message.rfind("manifest.", 0) == 0 ? message.substr(0, message.find_first_of(": ")) : message.substr(0, 25);
}

TEST(GoldenManifest, IsTakenAndRefusedAsInPython) {
    int taken = 0, refused = 0;
    for (const auto& expected : golden()["manifests"]) {
        const std::string text = expected["text"];
        SCOPED_TRACE(text.substr(0, 3000));
        try {
            const Manifest manifest = parse_manifest(text);
            EXPECT_TRUE(expected["valid"].get<bool>()) << "Python refuses it: " << expected["message"];
            EXPECT_FALSE(manifest.name.empty());
            ++taken;
        } catch (const Error& error) {
            EXPECT_FALSE(expected["valid"].get<bool>()) << error.what();
            EXPECT_EQ(error.status(), ACNE_EDGE_ERROR_MANIFEST);
            EXPECT_EQ(field(error.what()), field(expected["message"]));
            ++refused;
        }
    }
    EXPECT_GE(taken, 8);
    EXPECT_GE(refused, 80);
}

TEST(GoldenManifest, ReadsEveryFieldThatDrivesTheCode) {
    const std::string text = golden()["manifests"][0]["text"];
    const auto json = nlohmann::json::parse(text);
    const Manifest manifest = parse_manifest(text);
    EXPECT_EQ(manifest.name, json["name"]);
    EXPECT_EQ(manifest.version, json["version"]);
    EXPECT_EQ(manifest.height, json["input"]["height"]);
    EXPECT_EQ(manifest.width, json["input"]["width"]);
    EXPECT_EQ(manifest.decode_scale, json["input"]["decode_scale"]);
    EXPECT_EQ(manifest.count_bins, json["count_bins"]);
    EXPECT_EQ(manifest.scale.name, json["scale"]["name"]);
    EXPECT_EQ(manifest.scale.labels, json["scale"]["labels"].get<std::vector<std::string>>());
    EXPECT_EQ(manifest.scale.lower, json["scale"]["lower"].get<std::vector<std::int64_t>>());
    EXPECT_EQ(manifest.decoding.median, json["decoding"]["count"] == "median");
    EXPECT_EQ(manifest.decoding.map_weight, json["decoding"]["map_weight"]);
    EXPECT_EQ(manifest.decoding.head_weight, json["decoding"]["head_weight"]);
    EXPECT_EQ(manifest.uncertainty.level, json["uncertainty"]["level"]);
    EXPECT_EQ(manifest.uncertainty.temperature, json["uncertainty"]["temperature"]);
    EXPECT_EQ(manifest.uncertainty.count_quantile, json["uncertainty"]["count_quantile"]);
    EXPECT_EQ(manifest.uncertainty.grade_quantile, json["uncertainty"]["grade_quantile"]);
    EXPECT_EQ(manifest.uncertainty.abstain_below, json["uncertainty"]["abstain_below"]);
}

}  // namespace
}  // namespace acne_edge
