#include "report.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace bench {
namespace {

using json = nlohmann::ordered_json;

double rounded(double value, double unit) { return std::round(value / unit) * unit; }

// Times are rounded to microseconds.
json ms(double value) { return std::round(value * 1e3) / 1e3; }

json ms(const std::optional<double>& value) { return value ? ms(*value) : json(nullptr); }

// A percentile with too few samples is left out.
json stage_json(const Summary& stage) {
    json values = {{"min", ms(stage.min)}, {"mean", ms(stage.mean)}, {"p50", ms(stage.p50)}, {"p90", ms(stage.p90)}};
    if (stage.p99) values["p99"] = ms(*stage.p99);
    if (stage.p999) values["p99.9"] = ms(*stage.p999);
    values["cv"] = std::round(stage.cv * 1e4) / 1e4;
    return values;
}

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
    char text[256];
    va_list values;
    va_start(values, pattern);
    std::vsnprintf(text, sizeof text, pattern, values);
    va_end(values);
    return text;
}

std::string cell(const std::optional<double>& value) { return value ? format("%10.3f", *value) : format("%10s", "-"); }

}  // namespace

std::vector<std::string> warnings_of(const Report& report) {
    std::vector<std::string> warnings;
    const Summary& total = report.stages.back();
    if (!total.p99) {
        warnings.push_back(format("p99 needs %zu samples; there are %d", kSamplesForP99, report.samples));
    }
    if (total.cv > kSteady) {
        warnings.push_back(format("times vary by %.1f %% (over %.1f %%): close other programs, fix the clock, take more samples",
                                  rounded(total.cv * 100, 0.1), kSteady * 100));
    }
    return warnings;
}

std::string to_json(const Report& report) {
    json stages = json::object(), series = json::object();
    for (std::size_t s = 0; s < kStages.size(); ++s) {
        stages[kStages[s]] = stage_json(report.stages[s]);
        for (const double sample : report.series[s]) series[kStages[s]].push_back(ms(sample));
    }
    json values = {
        {"schema", "1.1"},
        {"tool", report.tool},
        {"model", json::parse(report.model)},
        {"environment",
         {{"os", report.environment.os},
          {"machine", report.environment.machine},
          {"cpu", report.environment.cpu},
          {"cores", report.environment.cores},
          {"threads", report.threads}}},
        {"image", {{"sha256", report.image_sha256}, {"bytes", report.image_bytes}}},
        {"samples", report.samples},
        {"stages", stages},
        {"samples_ms", series},
        {"cold_start",
         {{"process_ms", ms(report.cold_start.process_ms)},
          {"session_ms", ms(report.cold_start.session_ms)},
          {"first_inference_ms", ms(report.cold_start.first_inference_ms)}}},
        {"throughput", report.throughput ? json{{"streams", report.throughput->streams},
                                                {"images_per_second", ms(report.throughput->images_per_second)}}
                                         : json(nullptr)},
        {"peak_rss_mb", std::round(report.peak_rss_mb * 10) / 10},
    };
    if (report.sensors) {
        values["sensors"] = {{"celsius", ms(report.sensors->celsius)}, {"watts", ms(report.sensors->watts)}};
    }
    values["warnings"] = report.warnings;
    return values.dump(2, ' ', false, json::error_handler_t::replace);
}

std::string to_json(const acne_edge_timings& timings) {
    const auto stages = stages_of(timings);
    json values = json::object();
    for (std::size_t s = 0; s < stages.size(); ++s) values[kStages[s]] = ms(stages[s]);
    return values.dump();
}

std::string to_text(const Report& report) {
    const auto model = json::parse(report.model);
    std::string text = report.tool + ": " + model.value("name", "") + " " + model.value("version", "") + " on " +
                       model.value("backend", "") + "\n" + report.environment.cpu + ", " +
                       format("%d cores, %d samples\n\n", report.environment.cores, report.samples) +
                       format("%-16s%10s%10s%10s%10s%10s%10s%8s\n", "ms", "min", "mean", "p50", "p90", "p99", "p99.9", "cv");
    for (std::size_t s = 0; s < kStages.size(); ++s) {
        const Summary& stage = report.stages[s];
        text += format("%-16s%10.3f%10.3f%10.3f%10.3f", kStages[s], stage.min, stage.mean, stage.p50, stage.p90) +
                cell(stage.p99) + cell(stage.p999) + format("%7.1f%%\n", stage.cv * 100);
    }
    const ColdStart& cold = report.cold_start;
    text += format("\ncold start      session %.1f ms, first inference %.1f ms", cold.session_ms, cold.first_inference_ms);
    if (cold.process_ms) text += format(", whole process %.1f ms", *cold.process_ms);
    text += "\n";
    if (report.throughput) {
        text += format("throughput      %.1f images a second in %d streams\n", report.throughput->images_per_second,
                       report.throughput->streams);
    }
    text += format("peak memory     %.1f MB\n", report.peak_rss_mb);
    if (report.sensors) {
        const auto& [celsius, watts] = *report.sensors;
        text += "sensors         " + (celsius ? format("%.1f degrees C", *celsius) : "no temperature") + ", " +
                (watts ? format("%.2f W", *watts) : "no power") + "\n";
    }
    for (const auto& warning : report.warnings) text += "warning: " + warning + "\n";
    return text;
}

}  // namespace bench
