// Turns the network's distributions into count, interval, grade, grade set and abstention, as acne_edge/grading.py does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace acne_edge {

// A severity scale made of bands of the lesion count; band i holds counts lower[i] .. lower[i+1]-1.
struct Scale {
    std::string name;
    std::vector<std::string> labels;
    std::vector<std::int64_t> lower;
};

// The scale of that name, which may be an old name. Throws Error for an unknown one.
Scale find_scale(const std::string& name);

// How one count and one grade are computed from the network's three outputs.
struct CountDecoding {
    bool median = false;  // of the count distribution, else its mean
    double map_weight = 0;
    double head_weight = 0.5;
};

// Constants of temperature scaling and of conformal prediction, fitted for a model.
struct Uncertainty {
    double level = 0.9;
    double temperature = 1;
    std::vector<double> count_quantile{0.9};  // one, or one for each grade of the model's scale that the count may be in
    std::vector<double> grade_quantile{0.9};
    double abstain_below = 0;
};

// How far a photograph's features may lie from those learned for it to get a grade; read only of a model that tells.
struct Familiarity {
    double threshold = 0;  // of the graph's output `unfamiliarity`; 0: the model does not tell
};

// A monotone correction of counts for another camera: 10 * factor * (count / 10) ^ power.
struct CountCorrection {
    double factor = 0;  // 0: none
    double power = 1;
};

// The network's outputs for one image.
struct Outputs {
    std::vector<float> grade_probs;
    std::vector<float> count_probs;  // over 0..K-1 lesions
    std::vector<float> lesion_map;   // expected lesions in each cell, row by row
    int map_height = 0;
    int map_width = 0;
    float unfamiliarity = 0;  // of a model that tells
    float close_up = 0;       // of a model that tells, 0..1
};

struct Interpretation {
    double count = 0;  // lesions
    int low = 0;       // the interval includes both ends
    int high = 0;
    int grade = 0;
    std::vector<double> grade_probs;
    std::vector<int> grade_set;
    const char* abstained = nullptr;  // reason code, or null
    double unfamiliarity = -1;        // in thresholds: over 1 is unfamiliar; under 0 where the model does not tell
};

// The grade in words that fit the count: all grades that are possible, no lesions, or no grade.
std::string describe(const Scale& scale, const Interpretation& result);

// Throws Error if the outputs are not finite numbers.
Interpretation interpret(const Outputs& outputs, const Scale& native, const Scale& scale, const CountDecoding& decoding,
                         const Uncertainty& uncertainty, const Familiarity& familiarity = {},
                         const CountCorrection& correction = {});

}  // namespace acne_edge
