// What a series of measurements says. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace bench {

inline constexpr std::size_t kSamplesForP99 = 100;    // fewer have no hundredth worth the name
inline constexpr std::size_t kSamplesForP999 = 1000;
inline constexpr double kSteady = 0.025;              // coefficient of variation above which a mean is not to be trusted

struct Summary {
    double min = 0, mean = 0, p50 = 0, p90 = 0;
    std::optional<double> p99, p999;  // none with too few samples
    double cv = 0;                    // coefficient of variation: standard deviation (of the population) over mean
};

// The value below which the share `q`, 0..1, of the sorted values lies, linear between neighbours as in NumPy.
double percentile(const std::vector<double>& sorted, double q);

// Throws std::invalid_argument for no values.
Summary summarise(std::vector<double> values);

}  // namespace bench
