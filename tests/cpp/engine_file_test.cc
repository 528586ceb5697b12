// The header of a TensorRT engine file is read, checked and refused without TensorRT.
#include <string>

#include <gtest/gtest.h>

#include "engine_file.h"
#include "error.h"
#include "golden.h"
#include "sha256.h"

namespace acne_edge {
namespace {

using nlohmann::json;

const std::string kPlan = "the plan, which only TensorRT understands";

json header() {
    return {{"build", {{"tensorrt", "tensorrt 10.3.0.26"}, {"gpu", "Orin"}, {"compute_capability", "8.7"}}},
            {"manifest", json::parse(golden()["manifests"][0]["text"].get<std::string>())},
            {"plan_sha256", sha256(reinterpret_cast<const std::uint8_t*>(kPlan.data()), kPlan.size())}};
}

std::string little_endian(std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 255);
    return text;
}

std::vector<std::uint8_t> pack(const std::string& text, const std::string& plan = kPlan) {
    const std::string file = "ACNETRT1" + little_endian(text.size(), 4) + little_endian(plan.size(), 8) + text + plan;
    return {file.begin(), file.end()};
}

void expect_refused(const std::vector<std::uint8_t>& bytes, acne_edge_status status, const std::string& word) {
    try {
        read_engine_file(bytes);
        ADD_FAILURE() << "taken, though " << word;
    } catch (const Error& error) {
        EXPECT_EQ(error.status(), status);
        EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
}

TEST(EngineFile, IsReadAsItWasWritten) {
    const auto bytes = pack(header().dump());
    ASSERT_TRUE(is_engine_file(bytes));
    const EngineFile engine = read_engine_file(bytes);
    EXPECT_EQ(engine.tensorrt, "tensorrt 10.3.0.26");
    EXPECT_EQ(std::string(engine.plan, engine.plan + engine.plan_size), kPlan);
    EXPECT_EQ(engine.manifest.name, header()["manifest"]["name"]);
    EXPECT_NO_THROW(check_fits(engine, "tensorrt 10.3.0.26", "Orin", "8.7"));
}

TEST(EngineFile, IsRefusedOnAnotherMachine) {
    const auto bytes = pack(header().dump());
    const EngineFile engine = read_engine_file(bytes);
    EXPECT_THROW(check_fits(engine, "tensorrt 10.3.0.27", "Orin", "8.7"), Error);
    EXPECT_THROW(check_fits(engine, "tensorrt 10.3.0.26", "Xavier", "8.7"), Error);
    EXPECT_THROW(check_fits(engine, "tensorrt 10.3.0.26", "Orin", "8.6"), Error);
}

TEST(EngineFile, EveryCutIsRefused) {
    const auto whole = pack(header().dump());
    for (std::size_t length = 0; length < whole.size(); length += 7) {
        const auto end = whole.begin() + static_cast<std::ptrdiff_t>(length);
        expect_refused({whole.begin(), end}, ACNE_EDGE_STATUS_BACKEND, "engine file");
    }
}

TEST(EngineFile, DamageIsRefused) {
    auto longer = pack(header().dump());
    longer.push_back(0);
    expect_refused(longer, ACNE_EDGE_STATUS_BACKEND, "lengths");
    auto huge = pack(header().dump());
    std::fill_n(huge.begin() + 8, 12, 0xFF);
    expect_refused(huge, ACNE_EDGE_STATUS_BACKEND, "lengths");
    auto changed = pack(header().dump());
    changed.back() ^= 1;
    expect_refused(changed, ACNE_EDGE_STATUS_BACKEND, "plan");
    expect_refused(pack("{"), ACNE_EDGE_STATUS_BACKEND, "header");
    expect_refused(pack("[]"), ACNE_EDGE_STATUS_BACKEND, "header");
    json without = header();
    without.erase("plan_sha256");
    expect_refused(pack(without.dump()), ACNE_EDGE_STATUS_BACKEND, "header");
    json newer = header();
    newer["manifest"]["schema"] = "2.0";
    expect_refused(pack(newer.dump()), ACNE_EDGE_STATUS_MANIFEST, "schema");
    json requiring = header();
    requiring["manifest"]["requires"] = {"framing-9"};
    expect_refused(pack(requiring.dump()), ACNE_EDGE_STATUS_MANIFEST, "does not know 'framing-9'; update acne-edge");
    EXPECT_FALSE(is_engine_file({}));
}

}  // namespace
}  // namespace acne_edge
