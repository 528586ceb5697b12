#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace bench {

double percentile(const std::vector<double>& sorted, double q) {
    const double position = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Summary summarise(std::vector<double> values) {
    if (values.empty()) throw std::invalid_argument("no samples to summarise");
    std::sort(values.begin(), values.end());
    const auto n = static_cast<double>(values.size());
    Summary summary;
    summary.min = values.front();
    summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    summary.p50 = percentile(values, 0.50);
    summary.p90 = percentile(values, 0.90);
    if (values.size() >= kSamplesForP99) summary.p99 = percentile(values, 0.99);
    if (values.size() >= kSamplesForP999) summary.p999 = percentile(values, 0.999);
    if (summary.mean > 0) {
        double squares = 0;
        for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
        summary.cv = std::sqrt(squares / n) / summary.mean;
    }
    return summary;
}

}  // namespace bench
