// The manifest is found in an ONNX file without ONNX Runtime.
#include <gtest/gtest.h>

#include "error.h"
#include "golden.h"
#include "onnx_file.h"

namespace acne_edge {
namespace {

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// One field of a protocol buffer message that holds fewer than 128 bytes.
std::string field(int number, const std::string& bytes) {
    const int tag = number << 3 | 2;
    const std::string tag_bytes = tag < 128 ? std::string(1, static_cast<char>(tag))
                                            : std::string{static_cast<char>(tag | 0x80), static_cast<char>(tag >> 7)};
    return tag_bytes + std::string(1, static_cast<char>(bytes.size())) + bytes;
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

// A tensor whose values lie in another file.
const std::string kElsewhere = field(13, field(1, "location") + field(2, "weights.bin"));

TEST(OnnxFile, WeightsOutsideItAreRefusedWhereverTheyAre) {
    const std::string sparse = field(1, kElsewhere), attribute = field(5, kElsewhere), node = field(1, field(5, attribute));
    for (const std::string& graph : {
             field(5, kElsewhere),
             field(15, sparse),
             field(15, field(2, kElsewhere)),
             node,
             field(1, field(5, field(10, kElsewhere))),
             field(1, field(5, field(22, sparse))),
             field(1, field(5, field(23, sparse))),
             field(1, field(5, field(6, node))),
             field(1, field(5, field(11, node))),
         }) {
        EXPECT_THROW(refuse_external_data(bytes_of(field(7, graph))), Error);
        EXPECT_THROW(refuse_external_data(bytes_of(field(20, field(1, graph)))), Error);
        EXPECT_THROW(refuse_external_data(bytes_of(field(20, field(2, graph)))), Error);
    }
    EXPECT_THROW(refuse_external_data(bytes_of(field(25, field(7, field(5, attribute))))), Error);
    EXPECT_THROW(refuse_external_data(bytes_of(field(25, field(11, attribute)))), Error);
}

TEST(OnnxFile, TheWordAloneIsNoWeight) {
    EXPECT_NO_THROW(refuse_external_data(read_golden("model.onnx")));
    EXPECT_NO_THROW(refuse_external_data(bytes_of("not a model")));
    EXPECT_NO_THROW(refuse_external_data(bytes_of(entry("location", "location") + field(7, field(1, field(3, "location"))))));
}

TEST(OnnxFile, WhatCannotBeSearchedIsRefused) {
    EXPECT_THROW(refuse_external_data(bytes_of("\x0b\x0c" + entry("location", ""))), Error);  // a group
    EXPECT_THROW(refuse_external_data(bytes_of(entry("location", "") + "\x3a\x7f")), Error);   // cut short
}

}  // namespace
}  // namespace acne_edge
