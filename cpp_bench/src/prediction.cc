#include "prediction.h"

#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "quality.h"

namespace acne_edge {
namespace {

constexpr const char* kSchema = "1.1";  // as acne_edge/prediction.schema.json describes it

using json = nlohmann::ordered_json;  // keys in a readable order

json quality_json(const acne_edge_quality& quality) {
    json reasons = json::array();
    for (const QualityReason& reason : kQualityReasons) {
        if (quality.reasons & reason.bit) reasons.push_back(reason.code);
    }
    return {{"short_side", quality.short_side},
            {"brightness", round_decimals(quality.brightness, 1)},
            {"clipped", round_decimals(quality.clipped, 3)},
            {"sharpness", round_decimals(quality.sharpness, 3)},
            {"noise", round_decimals(quality.noise, 3)},
            {"colour_detail", round_decimals(quality.colour_detail, 3)},
            {"skin", round_decimals(quality.skin, 3)},
            {"reasons", reasons}};
}

json timings_json(const acne_edge_timings& timings) {
    return {{"decode", round_decimals(timings.decode, 3)},       {"framing", round_decimals(timings.framing, 3)},
            {"quality", round_decimals(timings.quality, 3)},     {"preprocess", round_decimals(timings.preprocess, 3)},
            {"inference", round_decimals(timings.inference, 3)}, {"interpretation", round_decimals(timings.interpretation, 3)},
            {"total", round_decimals(timings.total, 3)}};
}

json image_json(const Prediction& prediction) {
    const Box& box = prediction.crop;
    json crop;  // null where nothing was cut off
    if (prediction.is_cut()) crop = {{"left", box.left}, {"top", box.top}, {"right", box.right}, {"bottom", box.bottom}};
    return {{"width", prediction.image_width}, {"height", prediction.image_height}, {"crop", crop}};
}

json lesions_json(const std::vector<acne_edge_lesion>& lesions) {
    json places = json::array();
    for (const acne_edge_lesion& lesion : lesions) {
        places.push_back(
            {{"x", round_decimals(lesion.x, 5)}, {"y", round_decimals(lesion.y, 5)}, {"score", round_decimals(lesion.score, 4)}});
    }
    return places;
}

json lesion_map_json(const Prediction& prediction) {
    json rows = json::array();
    for (int y = 0; y < prediction.map_height; ++y) {
        json row = json::array();
        for (int x = 0; x < prediction.map_width; ++x) {
            row.push_back(round_decimals(prediction.lesion_map[static_cast<std::size_t>(y) * prediction.map_width + x], 5));
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace

double round_decimals(double value, int decimals) {
    char text[400];  // the largest double has 309 digits before its decimals
    std::snprintf(text, sizeof text, "%.*f", decimals, value);
    return std::strtod(text, nullptr);
}

std::string to_json(const Prediction& prediction, const std::optional<std::string>& path, bool lesion_map) {
    const Interpretation& result = prediction.interpretation;
    json probs = json::array();
    for (const double p : result.grade_probs) probs.push_back(round_decimals(p, 4));
    json values = {
        {"schema", kSchema},
        {"path", path ? json(*path) : json(nullptr)},
        {"count", round_decimals(result.count, 2)},
        {"count_interval", {{"level", prediction.level}, {"low", result.low}, {"high", result.high}}},
        {"grade", {{"index", result.grade}, {"label", prediction.scale.labels[result.grade]}, {"text", prediction.grade_text}}},
        {"grade_probs", probs},
        {"grade_set", result.grade_set},
        {"scale", prediction.scale.name},
        {"image", image_json(prediction)},
        {"lesions", lesions_json(prediction.lesions)},
        {"quality", quality_json(prediction.quality)},
        {"abstained", result.abstained ? json(result.abstained) : json(nullptr)},
        {"unfamiliarity", result.unfamiliarity < 0 ? json(nullptr) : json(round_decimals(result.unfamiliarity, 3))},
        {"model",
         {{"name", prediction.model.name},
          {"version", prediction.model.version},
          {"sha256", prediction.model.sha256},
          {"backend", prediction.model.backend}}},
        {"timings", timings_json(prediction.timings)},
    };
    if (lesion_map) values["lesion_map"] = lesion_map_json(prediction);
    // A path is bytes; invalid UTF-8 in it must not stop the report.
    return values.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace acne_edge
