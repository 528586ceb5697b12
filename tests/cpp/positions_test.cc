// Lesions are read off maps as the Python SDK reads them, to the last bit.
#include <limits>

#include <gtest/gtest.h>

#include "golden.h"
#include "positions.h"

namespace acne_edge {
namespace {

TEST(Positions, AreThoseOfThePythonSdkBitForBit) {
    const auto& cases = golden()["positions"];
    ASSERT_GT(cases.size(), 100U);
    std::size_t lesions = 0;
    for (const auto& expected : cases) {
        const auto found = locate(expected["map"], expected["height"], expected["width"], expected["threshold"]);
        ASSERT_EQ(found.size(), expected["lesions"].size()) << expected;
        for (std::size_t i = 0; i < found.size(); ++i) {
            EXPECT_EQ(found[i].x, expected["lesions"][i][0]) << expected;
            EXPECT_EQ(found[i].y, expected["lesions"][i][1]) << expected;
            EXPECT_EQ(found[i].score, expected["lesions"][i][2]) << expected;
        }
        lesions += found.size();
    }
    EXPECT_GT(lesions, 1000U);
}

TEST(Positions, AMapThatIsNoMapHoldsNone) {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        EXPECT_TRUE(locate({0, 1, 0, value}, 2, 2, 0.1).empty());
    }
    EXPECT_TRUE(locate({0, 0, 0, 0}, 2, 2, 0).empty());
    EXPECT_TRUE(locate({}, 0, 0, 0).empty());
}

}  // namespace
}  // namespace acne_edge
