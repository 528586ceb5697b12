// Turns the lesion map into single places, bit for bit as acne_edge/positions.py does.
#pragma once

#include <string>
#include <vector>

#include "acne_edge.h"
#include "framing.h"

namespace acne_edge {

inline constexpr const char* kCross = "cross";  // the only rule so far

// Lesions found in a map of expected lesions per cell, with a score of `threshold` or more; highest score first.
std::vector<acne_edge_lesion> locate(const std::vector<float>& map, int height, int width, double threshold);

// Places in 0..1 of a crop -> in 0..1 of the whole photograph, `width` x `height` pixels, that it is of.
void move(std::vector<acne_edge_lesion>& lesions, const Box& crop, int width, int height);

}  // namespace acne_edge
