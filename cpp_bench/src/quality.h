// Judges whether a photograph shows skin well enough to count lesions, as acne_edge/quality.py does.
#pragma once

#include "acne_edge.h"
#include "image.h"

namespace acne_edge {

// The code of each reason in the JSON, in the order in which reasons are listed there.
struct QualityReason {
    std::uint32_t bit;
    const char* code;
};
inline constexpr QualityReason kQualityReasons[] = {
    {ACNE_EDGE_QUALITY_BLANK, "blank"},           {ACNE_EDGE_QUALITY_LOW_RESOLUTION, "low_resolution"},
    {ACNE_EDGE_QUALITY_TOO_DARK, "too_dark"},     {ACNE_EDGE_QUALITY_TOO_BRIGHT, "too_bright"},
    {ACNE_EDGE_QUALITY_BLURRED, "blurred"},       {ACNE_EDGE_QUALITY_NOISY, "noisy"},
    {ACNE_EDGE_QUALITY_COMPRESSED, "compressed"}, {ACNE_EDGE_QUALITY_NO_SKIN, "no_skin"},
    {ACNE_EDGE_QUALITY_CLOSE_UP, "close_up"},
};

inline constexpr int kQualitySide = 256;  // pixels a side of the picture that is judged

// `small`: the photograph resized to kQualitySide in both directions; `short_side`: the photograph's, in pixels as decoded.
acne_edge_quality assess(const ImageView& small, int short_side);

}  // namespace acne_edge
