// The manifest: everything about a model that code must not assume. Read by the rules of acne_edge/manifest.py.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "framing.h"
#include "grading.h"

namespace acne_edge {

inline constexpr const char* kManifestKey = "acne_edge.manifest";  // in the ONNX file's metadata

inline constexpr std::string_view kFamiliarity = "familiarity-1";  // a reader that ignores it grades what is no face
inline constexpr std::string_view kCorrection = "count-correction-1";  // else the count would be that of another camera
inline constexpr std::string_view kMondrian = "mondrian-1";  // a reader of one number alone cannot read quantiles by the count
// A manifest may list features under "requires" that a reader must know to give the right answer; this version knows these.
inline constexpr std::array<std::string_view, 4> kUnderstood = {kFramingRule, kFamiliarity, kCorrection, kMondrian};

struct Manifest {
    std::string name;
    std::string version;
    int height = 0;  // pixels of the network's input
    int width = 0;
    int decode_scale = 0;  // a JPEG's DCT scale must keep both sides at least this many times the input's
    int count_bins = 0;    // 0..count_bins-1 lesions; the last one means "that many or more"
    Scale scale;           // the one that the grade head was trained on
    CountDecoding decoding;
    Uncertainty uncertainty;
    Familiarity familiarity;
    std::optional<double> close_up;  // from which value on the graph's output `close_up` tells one; none: it has no such output
    CountCorrection correction;
    bool framed = false;  // borders and interfaces around a photograph are cut off before the network
    double position_threshold = 0.5;  // the least score of a lesion; the default is for manifests without positions
};

// The graph's outputs that are read, in the order in which backends keep them.
std::vector<const char*> output_names(const Manifest& manifest);

// Parse and validate. Throws Error, naming the wrong field or the unknown feature;
// unknown fields are ignored.
Manifest parse_manifest(const std::string& text);

}  // namespace acne_edge
