#include "positions.h"

#include <algorithm>
#include <cmath>

namespace acne_edge {
namespace {

constexpr int kMost = 512;  // lesions; a face has under 150, and the limit bounds the time for a damaged map

}  // namespace

std::vector<acne_edge_lesion> locate(const std::vector<float>& map, int height, int width, double threshold) {
    std::vector<acne_edge_lesion> taken;
    if (!std::all_of(map.begin(), map.end(), [](float value) { return std::isfinite(value); })) return taken;
    const auto row = static_cast<std::size_t>(width) + 2;  // an empty cell on every side spares asking for the edges
    std::vector<double> cells(row * (static_cast<std::size_t>(height) + 2), 0.0);
    auto from = map.begin();
    for (std::size_t y = 1; y <= static_cast<std::size_t>(height); ++y) {
        for (std::size_t x = 1; x + 1 < row; ++x) cells[y * row + x] = std::max(static_cast<double>(*from++), 0.0);
    }
    for (int i = 0; i < kMost; ++i) {
        const auto at = static_cast<std::size_t>(std::max_element(cells.begin(), cells.end()) - cells.begin());
        double& centre = cells[at];
        if (!(centre > 0 && centre * 5 >= threshold)) break;  // no cross can reach the threshold
        double &up = cells[at - row], &left = cells[at - 1], &right = cells[at + 1], &down = cells[at + row];
        const double around = up + left + right + down;
        const double score = std::min(centre + around, 1.0);
        // Of the neighbours, that goes with the centre.
        const double share = score < 1 ? 1.0 : (1 - std::min(centre, 1.0)) / std::max(around, 1e-12);
        if (score >= threshold) {
            const double x = static_cast<double>(at % row) - 0.5 + (right - left) * share / score;
            const double y = static_cast<double>(at / row) - 0.5 + (down - up) * share / score;
            taken.push_back({x / width, y / height, score});
        }
        centre = std::max(centre - 1, 0.0);
        for (double* neighbour : {&up, &left, &right, &down}) *neighbour *= 1 - share;
    }
    std::stable_sort(taken.begin(), taken.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    return taken;
}

void move(std::vector<acne_edge_lesion>& lesions, const Box& crop, int width, int height) {
    for (acne_edge_lesion& lesion : lesions) {
        lesion.x = (crop.left + lesion.x * crop.width()) / width;
        lesion.y = (crop.top + lesion.y * crop.height()) / height;
    }
}

}  // namespace acne_edge
