// The manifest: everything about a model that code must not assume. Read by the rules of acne_edge/manifest.py.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "grading.h"

namespace acne_edge {

inline constexpr const char* kManifestKey = "acne_edge.manifest";  // in the ONNX file's metadata

// A manifest may name, under "requires", what a reader must understand to give the right answer; this version understands these.
inline constexpr std::string_view kFamiliarity = "familiarity-1";  // a reader that passes over it grades what is no face
inline constexpr std::array<std::string_view, 1> kUnderstood = {kFamiliarity};

struct Manifest {
    std::string name;
    std::string version;
    int height = 0;  // pixels of the network's input
    int width = 0;
    int decode_scale = 0;  // a JPEG may be decoded at a DCT scale that keeps both sides at least this many times the input
    int count_bins = 0;    // 0..count_bins-1 lesions; the last one means "that many or more"
    Scale scale;           // the one that the grade head was trained on
    CountDecoding decoding;
    Uncertainty uncertainty;
    Familiarity familiarity;
    double position_threshold = 0.5;  // the least score of a lesion; half a one where the manifest says nothing of positions
};

// Parse and validate. Throws Error with the name of the field that is wrong or of what is required and not known;
// unknown fields are ignored.
Manifest parse_manifest(const std::string& text);

}  // namespace acne_edge
