// The result for one photograph, and its JSON form, as in acne_edge/prediction.py.
#pragma once

#include <optional>
#include <string>

#include "acne_edge.h"
#include "framing.h"
#include "grading.h"

namespace acne_edge {

// The model that made a prediction, and the runtime and device that it used.
struct ModelInfo {
    std::string name;
    std::string version;
    std::string sha256;  // of the model file
    std::string backend;
};

struct Prediction {
    Interpretation interpretation;
    std::string grade_text;
    double level = 0;
    Scale scale;
    acne_edge_quality quality{};
    ModelInfo model;
    acne_edge_timings timings{};
    std::vector<float> lesion_map;
    int map_height = 0;
    int map_width = 0;
    std::vector<acne_edge_lesion> lesions;
    int image_width = 0;  // pixels of the photograph as it was taken, upright
    int image_height = 0;
    Box crop;  // what was looked at of it; all of it where nothing was cut off

    bool is_cut() const { return crop != Box{0, 0, image_width, image_height}; }
};

std::string to_json(const Prediction& prediction, const std::optional<std::string>& path, bool lesion_map);

// The number rounded to that many decimals, as Python's round() does.
double round_decimals(double value, int decimals);

}  // namespace acne_edge
