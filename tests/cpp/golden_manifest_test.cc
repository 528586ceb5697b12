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
            EXPECT_EQ(error.status(), ACNE_EDGE_STATUS_MANIFEST);
            EXPECT_EQ(field(error.what()), field(expected["message"]));
            if (field(error.what()) == "manifest.requires") {
                EXPECT_EQ(error.what(), expected["message"]);
            }
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
    const auto quantiles = [&](const char* key) {
        const auto& value = json["uncertainty"][key];
        return value.is_array() ? value.get<std::vector<double>>() : std::vector<double>{value.get<double>()};
    };
    EXPECT_EQ(manifest.uncertainty.count_quantile, quantiles("count_quantile"));
    EXPECT_EQ(manifest.uncertainty.grade_quantile, quantiles("grade_quantile"));
    EXPECT_EQ(manifest.uncertainty.abstain_below, json["uncertainty"]["abstain_below"]);
    EXPECT_EQ(manifest.position_threshold, json["positions"]["threshold"]);
    EXPECT_EQ(manifest.familiarity.threshold, json["familiarity"]["threshold"]);
    EXPECT_EQ(json["requires"], nlohmann::json::array({"framing-1", "mondrian-1", "familiarity-1"}));
    EXPECT_TRUE(manifest.framed);
}

TEST(Manifest, MayRequireNothing) {
    auto json = nlohmann::json::parse(golden()["manifests"][0]["text"].get<std::string>());
    json["requires"] = nlohmann::json::array();
    json["uncertainty"]["count_quantile"] = json["uncertainty"]["grade_quantile"] = 0.9;
    EXPECT_FALSE(parse_manifest(json.dump()).framed);
}

TEST(Manifest, MaySayNothingOfPositions) {
    auto json = nlohmann::json::parse(golden()["manifests"][0]["text"].get<std::string>());
    json["positions"]["threshold"] = 0.125;
    EXPECT_EQ(parse_manifest(json.dump()).position_threshold, 0.125);
    json.erase("positions");
    EXPECT_EQ(parse_manifest(json.dump()).position_threshold, 0.5);
}

// Whatever a manifest holds, the message about it is one line that can be read.
TEST(Manifest, IsRefusedInOneShortLine) {
    for (const char* path : {"/requires/0", "/input/resize", "/schema"}) {
        auto json = nlohmann::json::parse(golden()["manifests"][0]["text"].get<std::string>());
        json[nlohmann::json::json_pointer(path)] = "9\n\x1B[2J" + std::string(200'000, 'x');
        try {
            parse_manifest(json.dump());
            ADD_FAILURE() << "taken: " << path;
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_LT(message.size(), 250U);
            EXPECT_EQ(message.find_first_of("\n\x1B"), std::string::npos) << message;
        }
    }
}

TEST(Manifest, RequiresUpTo64Names) {
    auto json = nlohmann::json::parse(golden()["manifests"][0]["text"].get<std::string>());
    const auto message_of = [&](std::size_t names) {
        json["requires"] = std::vector<std::string>(names, "framing-9");
        try {
            parse_manifest(json.dump());
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(message_of(64), "manifest.requires: this version does not know 'framing-9'; update acne-edge");
    EXPECT_EQ(message_of(65), "manifest.requires: expected at most 64 texts");
}

}  // namespace
}  // namespace acne_edge
