#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "error.h"
#include "grading.h"

namespace acne_edge {
namespace {

const Scale kTwo = {"two", {"few", "many"}, {0, 2}};

Outputs outputs(std::vector<float> grades, std::vector<float> counts, std::vector<float> map = {0}) {
    Outputs made;
    made.map_width = static_cast<int>(map.size());
    made.map_height = 1;
    made.grade_probs = std::move(grades);
    made.count_probs = std::move(counts);
    made.lesion_map = std::move(map);
    return made;
}

TEST(Grading, CountIsTheMeanTheMedianOrTheMap) {
    const auto made = outputs({0.5F, 0.5F}, {0.125F, 0.25F, 0.5F, 0.125F}, {1.0F, 2.5F, 4.0F});
    EXPECT_DOUBLE_EQ(interpret(made, kTwo, kTwo, {false, 0, 0}, {}).count, 1.625);
    EXPECT_DOUBLE_EQ(interpret(made, kTwo, kTwo, {true, 0, 0}, {}).count, 1.75);
    EXPECT_DOUBLE_EQ(interpret(made, kTwo, kTwo, {true, 1, 0}, {}).count, 7.5);
    EXPECT_DOUBLE_EQ(interpret(made, kTwo, kTwo, {true, 0.5, 0}, {}).count, 4.625);
}

TEST(Grading, GradeMixesHeadAndBandsOnTheNativeScaleOnly) {
    const auto made = outputs({0.75F, 0.25F}, {0.125F, 0.125F, 0.5F, 0.25F});
    EXPECT_NEAR(interpret(made, kTwo, kTwo, {false, 0, 1}, {}).grade_probs[0], 0.75, 1e-9);
    EXPECT_NEAR(interpret(made, kTwo, kTwo, {false, 0, 0}, {}).grade_probs[0], 0.25, 1e-9);
    EXPECT_NEAR(interpret(made, kTwo, kTwo, {false, 0, 0.5}, {}).grade_probs[0], 0.5, 1e-9);
    const Scale other = {"other", {"none", "some", "very many"}, {0, 1, 66}};
    const auto result = interpret(made, kTwo, other, {false, 0, 1}, {});
    ASSERT_EQ(result.grade_probs.size(), 3U);
    EXPECT_NEAR(result.grade_probs[1], 0.875, 1e-9);
    EXPECT_EQ(result.grade, 1);
}

TEST(Grading, TemperatureSharpensAndTheGradeSetFollows) {
    const auto made = outputs({0.75F, 0.25F}, {0.25F, 0.25F, 0.25F, 0.25F});
    Uncertainty uncertainty;
    uncertainty.grade_quantile = {0.8};
    EXPECT_EQ(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty).grade_set, (std::vector<int>{0, 1}));
    uncertainty.temperature = 0.5;
    const auto sharp = interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty);
    EXPECT_NEAR(sharp.grade_probs[0], 0.9, 1e-9);
    EXPECT_EQ(sharp.grade_set, (std::vector<int>{0}));
    uncertainty.grade_quantile = {0};  // nothing is that sure; the top grade stays
    EXPECT_EQ(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty).grade_set, (std::vector<int>{0}));
}

TEST(Grading, CallsUnfamiliarWhatLiesBeyondItsThreshold) {
    auto made = outputs({0.75F, 0.25F}, {0.25F, 0.25F, 0.25F, 0.25F});
    made.unfamiliarity = 3;
    Uncertainty uncertainty;
    uncertainty.abstain_below = 1;
    const auto far = interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty, {2});
    EXPECT_DOUBLE_EQ(far.unfamiliarity, 1.5);
    EXPECT_STREQ(far.abstained, "unfamiliar");
    EXPECT_STREQ(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty, {3}).abstained, "low_confidence");
    EXPECT_LT(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty).unfamiliarity, 0);  // a model that does not tell
    made.unfamiliarity = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty, {2}), Error);
}

TEST(Grading, CorrectsTheCountOfAnotherCamera) {
    const auto made = outputs({0.75F, 0.25F}, {0.125F, 0.125F, 0.25F, 0.5F});
    const auto plain = interpret(made, kTwo, kTwo, {false, 0, 1}, {});
    EXPECT_DOUBLE_EQ(interpret(made, kTwo, kTwo, {false, 0, 1}, {}, {}, {1, 1}).count, plain.count);  // a correction by nothing
    // Half as many: the edges 1/2, 3/2 and 5/2 lie where 1, 3 and 5 lesions were.
    EXPECT_NEAR(interpret(made, kTwo, kTwo, {false, 0, 1}, {}, {}, {0.5, 1}).count, 1.0625, 1e-6);
    const auto clear = outputs({0.75F, 0.25F}, {1, 0, 0, 0});
    EXPECT_DOUBLE_EQ(interpret(clear, kTwo, kTwo, {false, 0, 1}, {}, {}, {3, 1}).count, 0);  // clear skin stays clear
}

TEST(Grading, AbstainsBelowItsThreshold) {
    const auto made = outputs({0.75F, 0.25F}, {0.25F, 0.25F, 0.25F, 0.25F});
    Uncertainty uncertainty;
    EXPECT_EQ(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty).abstained, nullptr);
    uncertainty.abstain_below = 0.8;
    EXPECT_STREQ(interpret(made, kTwo, kTwo, {false, 0, 1}, uncertainty).abstained, "low_confidence");
}

TEST(Grading, WordsSayWhatIsPossible) {
    const Scale scale = find_scale("hayashi");
    Interpretation result;
    result.count = 4.7;
    result.grade_set = {0, 1};
    EXPECT_EQ(describe(scale, result), "mild to moderate");
    result.grade_set = {1};
    EXPECT_EQ(describe(scale, result), "moderate");
    result.grade_set = {1, 3};
    EXPECT_EQ(describe(scale, result), "moderate to very severe");
    result.count = 0.49;
    EXPECT_EQ(describe(scale, result), "none counted");
    result.count = 0.5;
    EXPECT_EQ(describe(scale, result), "moderate to very severe");
    result.abstained = "low_confidence";
    EXPECT_EQ(describe(scale, result), "no grade");
}

TEST(Grading, IntervalHoldsTheCount) {
    Uncertainty uncertainty;
    uncertainty.count_quantile = {0.5};
    const auto spread = outputs({1, 0}, {0.25F, 0.25F, 0.25F, 0.25F});
    auto result = interpret(spread, kTwo, kTwo, {false, 0, 1}, uncertainty);
    EXPECT_EQ(result.low, 1);
    EXPECT_EQ(result.high, 2);
    result = interpret(outputs({1, 0}, {0.25F, 0.25F, 0.25F, 0.25F}, {9.5F}), kTwo, kTwo, {false, 1, 1}, uncertainty);
    EXPECT_EQ(result.low, 1);
    EXPECT_EQ(result.high, 10);
    uncertainty.count_quantile = {0};  // no count is that central
    result = interpret(spread, kTwo, kTwo, {false, 0, 1}, uncertainty);
    EXPECT_EQ(result.low, 1);
    EXPECT_EQ(result.high, 2);
}

TEST(Grading, TheQuantilesOfABandHoldFromItsFirstLesionOn) {
    Uncertainty uncertainty;
    uncertainty.count_quantile = {0, 1};
    uncertainty.grade_quantile = {0, 1};
    const auto spread = [](float lesions) { return outputs({0.5, 0.5}, {0.25F, 0.25F, 0.25F, 0.25F}, {lesions}); };
    const auto edge = static_cast<float>(kTwo.lower[1]) - 0.5F;
    auto result = interpret(spread(edge - 0.25F), kTwo, kTwo, {false, 1, 1}, uncertainty);
    EXPECT_EQ(result.grade_set.size(), 1);
    EXPECT_LE(result.high - result.low, 1);
    result = interpret(spread(edge), kTwo, kTwo, {false, 1, 1}, uncertainty);
    EXPECT_EQ(result.grade_set.size(), 2);
    EXPECT_GE(result.high - result.low, 3);
}

TEST(Grading, OutputsThatAreNoNumbersAreRefused) {
    const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    const auto status = [](const Outputs& made, double map_weight) {
        try {
            interpret(made, kTwo, kTwo, {false, map_weight, 0.5}, {});
            return ACNE_EDGE_STATUS_OK;
        } catch (const Error& error) {
            return error.status();
        }
    };
    for (const double map_weight : {0.0, 0.5, 1.0}) {
        EXPECT_EQ(status(outputs({nan, 1}, {1, 0}), map_weight), ACNE_EDGE_STATUS_MODEL);
        EXPECT_EQ(status(outputs({0, 1}, {nan, 0}), map_weight), ACNE_EDGE_STATUS_MODEL);
        EXPECT_EQ(status(outputs({0, 1}, {1, 0}, {infinity}), map_weight), ACNE_EDGE_STATUS_MODEL);
    }
    EXPECT_EQ(status(outputs({0, 1}, {1, 0}, {1e30F}), 1), ACNE_EDGE_STATUS_MODEL);
}

TEST(Grading, KnowsTheScalesOfThePythonSdk) {
    EXPECT_EQ(find_scale("hayashi").lower, (std::vector<std::int64_t>{0, 6, 21, 51}));
    EXPECT_EQ(find_scale("banded").lower, (std::vector<std::int64_t>{0, 20, 51, 66}));
    EXPECT_EQ(find_scale("report").name, "banded");  // its old name
    EXPECT_THROW(find_scale("Hayashi"), Error);
}

}  // namespace
}  // namespace acne_edge
