// What was measured, as text and as JSON; `acne-edge bench` prints the same JSON.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "device.h"
#include "measure.h"
#include "statistics.h"

namespace bench {

struct ColdStart {
    std::optional<double> process_ms;  // from the start to the end of a process that predicts once; median of several
    double session_ms = 0;             // loading the model
    double first_inference_ms = 0;
};

struct Throughput {
    int streams = 0;
    double images_per_second = 0;
};

struct Report {
    std::string tool;
    std::string model;  // JSON object, as in a prediction
    std::string image_sha256;  // of the photograph's file
    std::size_t image_bytes = 0;
    Environment environment;
    int threads = 0;
    int samples = 0;
    StageSeries series;
    std::array<Summary, kStages.size()> stages;  // of the series
    ColdStart cold_start;
    std::optional<Throughput> throughput;
    double peak_rss_mb = 0;
    std::optional<Sensors> sensors;  // means over the samples
    std::vector<std::string> warnings;
};

// What a reader of these numbers must know.
std::vector<std::string> warnings_of(const Report& report);

std::string to_json(const Report& report);
std::string to_json(const acne_edge_timings& timings);  // in one line
std::string to_text(const Report& report);

}  // namespace bench
