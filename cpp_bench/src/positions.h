// The lesion map -> single places, bit for bit as acne_edge/positions.py does it.
#pragma once

#include <string>
#include <vector>

#include "acne_edge.h"

namespace acne_edge {

inline constexpr const char* kCross = "cross";  // the one rule that there is so far

// Lesions taken out of a map of expected lesions a cell, one at a time, those with a score of `threshold` or more; best first.
std::vector<acne_edge_lesion> locate(const std::vector<float>& map, int height, int width, double threshold);

}  // namespace acne_edge
