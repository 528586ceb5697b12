// The manifest is found in an ONNX file without ONNX Runtime.
#include <gtest/gtest.h>

#include "golden.h"
#include "onnx_file.h"

namespace acne_edge {
namespace {

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// One field of a protocol buffer message that holds fewer than 128 bytes.
std::string field(int number, const std::string& bytes) {
    return static_cast<char>(number << 3 | 2) + std::string(1, static_cast<char>(bytes.size())) + bytes;
}

std::string entry(const std::string& key, const std::string& value) { return field(14, field(1, key) + field(2, value)); }

TEST(OnnxFile, ManifestIsFound) {
    EXPECT_EQ(find_manifest(read_golden("model.onnx")), golden()["model_manifest"]);
    const std::string other = entry("author", "x") + "\x08\x07" + field(7, "a graph") + "\x4d____\x49________";
    EXPECT_EQ(find_manifest(bytes_of(other + entry("acne_edge.manifest", "{}"))), "{}");
}

TEST(OnnxFile, WithoutOneThereIsNone) {
    EXPECT_EQ(find_manifest(read_golden("refused_no_manifest.onnx")), std::nullopt);
    EXPECT_EQ(find_manifest({}), std::nullopt);
    EXPECT_EQ(find_manifest(bytes_of("not a model")), std::nullopt);
    EXPECT_EQ(find_manifest(std::vector<std::uint8_t>(20, 0xFF)), std::nullopt);
    const std::string whole = entry("acne_edge.manifest", "{}");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_EQ(find_manifest(bytes_of(whole.substr(0, size))), std::nullopt) << size;
    }
}

}  // namespace
}  // namespace acne_edge
