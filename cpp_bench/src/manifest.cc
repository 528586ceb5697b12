#include "manifest.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>

#include <nlohmann/json.hpp>

#include "error.h"
#include "positions.h"

namespace acne_edge {
namespace {

using nlohmann::json;

constexpr const char* kMajor = "1";
constexpr std::size_t kMaxChars = 256 * 1024;
constexpr std::size_t kMaxRequired = 64;

[[noreturn]] void refuse(const std::string& message) { throw Error(ACNE_EDGE_STATUS_MANIFEST, message); }

// A text of the manifest for a one-line message: control characters are escaped, and a long text is cut.
std::string shown(const std::string& text) {
    constexpr std::size_t kLongest = 80;
    const auto end = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kLongest)), text.end(),
                                  [](char c) { return (c & 0xC0) != 0x80; });  // not within a character
    const std::string escaped = json(std::string(text.begin(), end)).dump();
    return escaped.substr(1, escaped.size() - 2) + (end == text.end() ? "" : "...");
}

std::string short_number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}

// Typed access to a JSON object; every error names the path of the field.
class Reader {
public:
    Reader(const json& value, std::string path) : value_(value), path_(std::move(path)) {
        if (!value.is_object()) refuse(path_ + ": expected a JSON object");
    }

    bool has(const char* key) const { return value_.contains(key); }

    bool is_list(const char* key) const { return has(key) && value_[key].is_array(); }

    Reader section(const char* key) const { return {get(key, &json::is_object, "a JSON object"), path_ + "." + key}; }

    std::string text(const char* key) const { return get(key, &json::is_string, "a text").get<std::string>(); }

    bool boolean(const char* key) const { return get(key, &json::is_boolean, "true or false").get<bool>(); }

    const json& items(const char* key) const { return get(key, &json::is_array, "a list"); }

    std::string choice(const char* key, std::initializer_list<const char*> allowed) const {
        const std::string value = text(key);
        std::string known;
        for (const char* name : allowed) {
            if (value == name) return value;
            known += (known.empty() ? "" : ", ") + std::string(name);
        }
        refuse(path_ + "." + key + " is '" + shown(value) + "'; this version knows " + known);
    }

    int integer(const char* key, int low, int high) const {
        const json& value = get(key, &json::is_number_integer, "an integer");
        const bool huge = value.is_number_unsigned() &&
                          value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        if (huge || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
            refuse(path_ + "." + key + " is " + value.dump() + "; expected " + std::to_string(low) + ".." + std::to_string(high));
        }
        return value.get<int>();
    }

    double number(const char* key, double low, double high) const {
        const double value = get(key, &json::is_number, "a number").get<double>();
        if (!(low <= value && value <= high)) {
            refuse(path_ + "." + key + " is " + short_number(value) + "; expected " + short_number(low) + ".." +
                   short_number(high));
        }
        return value;
    }

private:
    using Kind = bool (json::*)() const noexcept;

    const json& get(const char* key, Kind is_kind, const char* expected) const {
        const auto found = value_.find(key);
        if (found == value_.end()) refuse(path_ + "." + key + " is missing");
        if (!((*found).*is_kind)()) refuse(path_ + "." + key + ": expected " + expected);
        return *found;
    }

    const json& value_;
    std::string path_;
};

// First, because an unknown feature may change the fields that follow.
std::vector<std::string> read_requires(const Reader& reader) {
    if (reader.text("schema") == "1.0" && !reader.has("requires")) return {};  // a field since schema 1.1
    const json& names = reader.items("requires");
    if (names.size() > kMaxRequired ||
        !std::all_of(names.begin(), names.end(), [](const json& name) { return name.is_string(); })) {
        refuse("manifest.requires: expected at most " + std::to_string(kMaxRequired) + " texts");
    }
    const auto required = names.get<std::vector<std::string>>();
    for (const std::string& name : required) {
        if (std::find(kUnderstood.begin(), kUnderstood.end(), name) == kUnderstood.end()) {
            refuse("manifest.requires: this version does not know '" + shown(name) + "'; update acne-edge");
        }
    }
    return required;
}

void read_input(const Reader& reader, Manifest& manifest) {
    if (!reader.boolean("normalised_in_graph")) {
        refuse("manifest.input.normalised_in_graph is false; this version wants normalisation in the graph");
    }
    manifest.height = reader.integer("height", 16, 4096);
    manifest.width = reader.integer("width", 16, 4096);
    reader.choice("layout", {"NHWC"});
    reader.choice("dtype", {"uint8"});
    reader.choice("colour", {"RGB"});
    reader.choice("resize", {"stretch"});
    reader.choice("filter", {"pillow-bilinear"});
    manifest.decode_scale = reader.integer("decode_scale", 1, 8);
}

Scale read_scale(const Reader& reader) {
    const json& labels = reader.items("labels");
    const json& lower = reader.items("lower");
    if (labels.size() < 2 || labels.size() > 16 ||
        !std::all_of(labels.begin(), labels.end(), [](const json& label) { return label.is_string(); })) {
        refuse("manifest.scale.labels: expected 2..16 texts");
    }
    if (lower.size() != labels.size() ||
        !std::all_of(lower.begin(), lower.end(), [](const json& bound) { return bound.is_number_integer(); })) {
        refuse("manifest.scale.lower: expected one integer a label");
    }
    Scale scale{reader.text("name"), labels.get<std::vector<std::string>>(), lower.get<std::vector<std::int64_t>>()};
    const auto not_increasing = [](std::int64_t a, std::int64_t b) { return a >= b; };
    if (scale.lower[0] != 0 || std::adjacent_find(scale.lower.begin(), scale.lower.end(), not_increasing) != scale.lower.end()) {
        refuse("manifest.scale.lower: expected increasing counts that begin at 0");
    }
    return scale;
}

CountDecoding read_decoding(const Reader& reader) {
    CountDecoding decoding;
    decoding.median = reader.choice("count", {"mean", "median"}) == "median";
    decoding.map_weight = reader.number("map_weight", 0, 1);
    decoding.head_weight = reader.number("head_weight", 0, 1);
    return decoding;
}

std::vector<double> read_quantile(const Reader& reader, const char* key, std::size_t grades) {
    if (!reader.is_list(key)) return {reader.number(key, 0, 1)};
    const json& values = reader.items(key);
    if (!std::all_of(values.begin(), values.end(), [](const json& value) { return value.is_number(); })) {
        refuse(std::string("manifest.uncertainty.") + key + ": expected numbers");
    }
    const auto quantiles = values.get<std::vector<double>>();
    if (quantiles.size() != grades ||
        !std::all_of(quantiles.begin(), quantiles.end(), [](double value) { return value >= 0 && value <= 1; })) {
        refuse(std::string("manifest.uncertainty.") + key + ": expected a number in 0..1, or one a grade");
    }
    return quantiles;
}

Uncertainty read_uncertainty(const Reader& reader, std::size_t grades) {
    Uncertainty uncertainty;
    uncertainty.level = reader.number("level", 0.5, 0.999);
    uncertainty.temperature = reader.number("temperature", 0.05, 20);
    uncertainty.count_quantile = read_quantile(reader, "count_quantile", grades);
    uncertainty.grade_quantile = read_quantile(reader, "grade_quantile", grades);
    uncertainty.abstain_below = reader.number("abstain_below", 0, 1);
    reader.text("fitted_on");
    return uncertainty;
}

double read_positions(const Reader& reader) {
    reader.choice("rule", {kCross});
    const double threshold = reader.number("threshold", 0, 1);
    reader.text("fitted_on");
    return threshold;
}

Familiarity read_familiarity(const Reader& reader) {
    const Familiarity familiarity{reader.number("threshold", 1e-6, 1e6)};
    reader.text("fitted_on");
    return familiarity;
}

double read_close_up(const Reader& reader) {
    const double threshold = reader.number("threshold", 0, 1);
    reader.text("fitted_on");
    return threshold;
}

CountCorrection read_correction(const Reader& reader) {
    const CountCorrection correction{reader.number("factor", 0.1, 10), reader.number("power", 0.2, 5)};
    reader.text("fitted_on");
    return correction;
}

// Characters, not bytes, are what Python counts.
std::size_t count_characters(const std::string& utf8) {
    return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::vector<const char*> output_names(const Manifest& manifest) {
    std::vector<const char*> names = {"grade_probs", "count_probs", "lesion_map"};
    if (manifest.familiarity.threshold > 0) names.push_back("unfamiliarity");
    if (manifest.close_up) names.push_back("close_up");
    return names;
}

Manifest parse_manifest(const std::string& text) {
    const std::size_t characters = count_characters(text);
    if (characters > kMaxChars) {
        refuse("the manifest has " + std::to_string(characters) + " characters; at most " + std::to_string(kMaxChars) +
               " are accepted");
    }
    json root;
    try {
        root = json::parse(text);
    } catch (const json::exception& error) {
        refuse(std::string("the manifest is not valid JSON (") + error.what() + ")");
    }
    const Reader top(root, "manifest");
    const std::string schema = top.text("schema");
    if (schema.substr(0, schema.find('.')) != kMajor) {
        refuse("the manifest has schema " + shown(schema) + "; this version reads " + kMajor + ".x: update acne-edge");
    }
    const std::vector<std::string> required = read_requires(top);
    Manifest manifest;
    manifest.framed = std::find(required.begin(), required.end(), kFramingRule) != required.end();
    manifest.name = top.text("name");
    manifest.version = top.text("version");
    read_input(top.section("input"), manifest);
    manifest.count_bins = top.integer("count_bins", 2, 1024);
    manifest.scale = read_scale(top.section("scale"));
    manifest.decoding = read_decoding(top.section("decoding"));
    manifest.uncertainty = read_uncertainty(top.section("uncertainty"), manifest.scale.labels.size());
    if (top.has("positions")) manifest.position_threshold = read_positions(top.section("positions"));
    if (top.has("familiarity")) manifest.familiarity = read_familiarity(top.section("familiarity"));
    if (top.has("close_up")) manifest.close_up = read_close_up(top.section("close_up"));
    if (top.has("correction")) manifest.correction = read_correction(top.section("correction"));
    // For people and tools; only their types are checked.
    for (const char* key : {"licence", "intended_use"}) top.text(key);
    for (const char* key : {"training", "metrics", "quantisation"}) top.section(key);
    if (manifest.scale.lower.back() >= manifest.count_bins) {
        refuse("manifest.scale.lower: " + std::to_string(manifest.scale.lower.back()) + " lies beyond the " +
               std::to_string(manifest.count_bins) + " count bins");
    }
    if (top.has("correction") != (std::find(required.begin(), required.end(), kCorrection) != required.end())) {
        refuse("manifest.correction goes with '" + std::string(kCorrection) + "' in manifest.requires");
    }
    const bool mondrian = manifest.uncertainty.count_quantile.size() > 1 || manifest.uncertainty.grade_quantile.size() > 1;
    if (mondrian != (std::find(required.begin(), required.end(), kMondrian) != required.end())) {
        refuse("manifest.uncertainty: one quantile a grade goes with '" + std::string(kMondrian) + "' in manifest.requires");
    }
    if (std::find(required.begin(), required.end(), kFamiliarity) != required.end() && !top.has("familiarity")) {
        refuse("manifest.familiarity is missing; the model requires '" + std::string(kFamiliarity) + "'");
    }
    return manifest;
}

}  // namespace acne_edge
