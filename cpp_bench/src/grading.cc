#include "grading.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "error.h"

namespace acne_edge {
namespace {

const std::vector<std::string> kLabels = {"mild", "moderate", "severe", "very severe"};

double mean(const std::vector<float>& probs) {
    double sum = 0;
    for (std::size_t k = 0; k < probs.size(); ++k) sum += static_cast<double>(k) * probs[k];
    return sum;
}

// Each count is spread evenly over half a lesion on either side, so that rounding cannot move the median by a whole lesion.
double median(const std::vector<float>& probs) {
    const std::size_t last = probs.size() - 1;
    std::size_t k = 0;
    double below = 0;
    for (; k < last && below + probs[k] < 0.5; ++k) below += probs[k];
    const double share = (0.5 - below) / std::max(static_cast<double>(probs[k]), 1e-12);
    return std::clamp(static_cast<double>(k) - 0.5 + share, 0.0, static_cast<double>(last));
}

double decode_count(const std::vector<float>& probs, double lesions, const CountDecoding& decoding) {
    const double statistic = decoding.median ? median(probs) : mean(probs);
    return (1 - decoding.map_weight) * statistic + decoding.map_weight * lesions;
}

// The count distribution summed over the bands of the scale, mixed with the grade head, which speaks on its native scale only.
std::vector<double> combine_grades(const Outputs& outputs, const Scale& native, const Scale& scale, double head_weight) {
    std::vector<double> probs(scale.lower.size(), 0.0);
    std::size_t band = 0;
    for (std::size_t k = 0; k < outputs.count_probs.size(); ++k) {
        while (band + 1 < scale.lower.size() && static_cast<std::int64_t>(k) >= scale.lower[band + 1]) ++band;
        probs[band] += outputs.count_probs[k];
    }
    if (scale.lower != native.lower) return probs;
    for (std::size_t g = 0; g < probs.size(); ++g) {
        probs[g] = head_weight * outputs.grade_probs[g] + (1 - head_weight) * probs[g];
    }
    return probs;
}

// p^(1/T), normalised (Guo et al. 2017).
void temper(std::vector<double>& probs, double temperature) {
    for (double& p : probs) p = std::log(std::max(p, 1e-12)) / temperature;
    const double highest = *std::max_element(probs.begin(), probs.end());
    for (double& p : probs) p = std::exp(p - highest);
    const double sum = std::accumulate(probs.begin(), probs.end(), 0.0);
    for (double& p : probs) p /= sum;
}

// The counts that lie at most `quantile` from the median on the scale of the distribution function (distributional conformal
// prediction), widened to include `count` if necessary.
void set_interval(Interpretation& result, const std::vector<float>& probs, double quantile) {
    int low = static_cast<int>(probs.size()), high = -1;
    double cumulated = 0;
    for (std::size_t k = 0; k < probs.size(); ++k) {
        const double p = probs[k];
        cumulated += p;
        if (std::abs(2 * (cumulated - p / 2) - 1) > quantile) continue;
        low = std::min(low, static_cast<int>(k));
        high = static_cast<int>(k);
    }
    result.low = std::min(low, static_cast<int>(std::floor(result.count)));
    result.high = std::max(high, static_cast<int>(std::ceil(result.count)));
}

// The quantile of photographs whose count is in this band.
double quantile_at(const std::vector<double>& quantiles, std::size_t band) {
    return quantiles.size() == 1 ? quantiles.front() : quantiles.at(band);
}

// The grade of a count, which is first rounded to the nearest lesion.
std::size_t grade_of(const Scale& scale, double count) {
    const auto lesions = static_cast<std::int64_t>(std::floor(count + 0.5));
    const auto above = std::upper_bound(scale.lower.begin() + 1, scale.lower.end(), lesions);
    return static_cast<std::size_t>(above - scale.lower.begin()) - 1;
}

constexpr double kPivot = 10;  // lesions; a correction's factor is what it does at this count

// The corrected count (`CountCorrection.__call__` in acne_edge/grading.py).
double corrected(double count, const CountCorrection& correction) {
    return kPivot * correction.factor * std::pow(std::max(count, 0.0) / kPivot, correction.power);
}

// The distribution after its counts are corrected (`CountCorrection.moved` in acne_edge/grading.py): between two edges k + 1/2 the
// distribution function is a straight line, and the share of no lesions stays where it is.
std::vector<float> moved(const std::vector<float>& probs, const CountCorrection& correction) {
    std::vector<double> cumulated(probs.size());
    std::partial_sum(probs.begin(), probs.end(), cumulated.begin(), [](double sum, float p) { return sum + p; });
    const auto last = static_cast<double>(probs.size() - 1);
    std::vector<float> result(probs.size());
    double below = 0;
    for (std::size_t k = 0; k < probs.size(); ++k) {
        double at_edge = cumulated.back();
        if (k + 1 < probs.size()) {
            const double edge = static_cast<double>(k) + 0.5;
            const double before = kPivot * std::pow(edge / (kPivot * correction.factor), 1 / correction.power);
            const double place = std::clamp(before - 0.5, 0.0, last);
            const auto left = static_cast<std::size_t>(std::min(place, last - 1));
            const double share = place - static_cast<double>(left);
            at_edge = cumulated[left] * (1 - share) + cumulated[left + 1] * share;
        }
        result[k] = static_cast<float>(at_edge - below);
        below = at_edge;
    }
    return result;
}

bool all_finite(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

Scale find_scale(const std::string& name) {
    if (name == "hayashi") return {name, kLabels, {0, 6, 21, 51}};
    if (name == "banded" || name == "report") return {"banded", kLabels, {0, 20, 51, 66}};  // the second is its old name
    throw Error(ACNE_EDGE_STATUS_USAGE, "unknown severity scale '" + name + "'; choose one of: hayashi, banded");
}

std::string describe(const Scale& scale, const Interpretation& result) {
    if (result.abstained != nullptr) return "no grade";
    if (result.count < 0.5) return "none counted";
    const std::string& low = scale.labels[result.grade_set.front()];
    const std::string& high = scale.labels[result.grade_set.back()];
    return result.grade_set.size() == 1 ? low : low + " to " + high;
}

Interpretation interpret(const Outputs& measured, const Scale& native, const Scale& scale, const CountDecoding& decoding,
                         const Uncertainty& uncertainty, const Familiarity& familiarity, const CountCorrection& correction) {
    Outputs outputs = measured;
    double lesions = std::accumulate(outputs.lesion_map.begin(), outputs.lesion_map.end(), 0.0);
    if (correction.factor > 0) {
        outputs.count_probs = moved(outputs.count_probs, correction);
        lesions = corrected(lesions, correction);
    }
    Interpretation result;
    result.count = decode_count(outputs.count_probs, lesions, decoding);
    constexpr double kAbsurd = 1e6;  // and still an int
    if (familiarity.threshold > 0) result.unfamiliarity = outputs.unfamiliarity / familiarity.threshold;
    if (!all_finite(outputs.grade_probs) || !all_finite(outputs.count_probs) || !(std::abs(result.count) < kAbsurd) ||
        !std::isfinite(result.unfamiliarity)) {
        throw Error(ACNE_EDGE_STATUS_MODEL,
                    "the model's outputs are not finite numbers; the model file or the runtime is broken");
    }
    const std::size_t band = grade_of(native, result.count);
    set_interval(result, outputs.count_probs, quantile_at(uncertainty.count_quantile, band));
    result.grade_probs = combine_grades(outputs, native, scale, decoding.head_weight);
    temper(result.grade_probs, uncertainty.temperature);
    const auto& probs = result.grade_probs;
    result.grade = static_cast<int>(std::max_element(probs.begin(), probs.end()) - probs.begin());
    const double top = probs[result.grade];
    const double least = 1 - quantile_at(uncertainty.grade_quantile, band);
    for (int g = 0; g < static_cast<int>(probs.size()); ++g) {
        if (probs[g] >= least) result.grade_set.push_back(g);
    }
    // The set always includes the top grade.
    if (result.grade_set.empty()) result.grade_set.push_back(result.grade);
    if (result.unfamiliarity > 1) {
        result.abstained = "unfamiliar";
    } else if (top < uncertainty.abstain_below) {
        result.abstained = "low_confidence";
    }
    return result;
}

}  // namespace acne_edge
