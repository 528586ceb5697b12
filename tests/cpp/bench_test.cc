// The benchmark's pure parts: statistics, command line, sensors, report.
#include <filesystem>
#include <fstream>
#include <numeric>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "device.h"
#include "options.h"
#include "report.h"
#include "statistics.h"

namespace bench {
namespace {

std::vector<double> ramp(int n) {
    std::vector<double> values(static_cast<std::size_t>(n));
    std::iota(values.rbegin(), values.rend(), 1.0);  // descending: they must be sorted
    return values;
}

TEST(Statistics, PercentilesAreThoseOfNumPy) {
    const std::vector<double> values = {1, 2, 3, 4};
    EXPECT_DOUBLE_EQ(percentile(values, 0), 1);
    EXPECT_DOUBLE_EQ(percentile(values, 0.5), 2.5);
    EXPECT_DOUBLE_EQ(percentile(values, 0.9), 3.7);
    EXPECT_DOUBLE_EQ(percentile(values, 1), 4);
    EXPECT_DOUBLE_EQ(percentile({7}, 0.99), 7);
}

TEST(Statistics, Summarises) {
    const Summary summary = summarise(ramp(1000));
    EXPECT_DOUBLE_EQ(summary.min, 1);
    EXPECT_DOUBLE_EQ(summary.mean, 500.5);
    EXPECT_DOUBLE_EQ(summary.p50, 500.5);
    EXPECT_DOUBLE_EQ(summary.p90, 900.1);
    EXPECT_DOUBLE_EQ(summary.p99.value(), 990.01);
    EXPECT_DOUBLE_EQ(summary.p999.value(), 999.001);
    EXPECT_NEAR(summary.cv, 288.6750 / 500.5, 1e-6);
}

TEST(Statistics, RefusesPercentilesOfTooFewSamples) {
    EXPECT_FALSE(summarise(ramp(99)).p99.has_value());
    EXPECT_TRUE(summarise(ramp(100)).p99.has_value());
    EXPECT_FALSE(summarise(ramp(999)).p999.has_value());
    EXPECT_THROW(summarise({}), std::invalid_argument);
}

TEST(Statistics, OneSampleAndNoTimeVaryNot) {
    EXPECT_EQ(summarise({5}).cv, 0);
    EXPECT_EQ(summarise({0, 0}).cv, 0);
}

Options parse_words(std::vector<std::string> words) {
    words.insert(words.begin(), "acne_edge_bench");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    return parse(static_cast<int>(words.size()), arguments.data());
}

TEST(CommandLine, IsRead) {
    const Options options = parse_words({"--image", "a.jpg", "--samples=7", "--backend", "onnxruntime", "--json"});
    EXPECT_EQ(options.image, "a.jpg");
    EXPECT_EQ(options.samples, 7);
    EXPECT_EQ(options.backend, ACNE_EDGE_BACKEND_ONNXRUNTIME);
    EXPECT_TRUE(options.json);
    EXPECT_FALSE(options.once);
    EXPECT_EQ(options.streams, 0);
}

TEST(CommandLine, RefusesWhatMakesNoSense) {
    EXPECT_THROW(parse_words({}), UsageError);
    EXPECT_THROW(parse_words({"--image"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "b"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "--samples", "0"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "--samples", "5x"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "--samples", "99999999999"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "--threads", "-1"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "--backend", "gpu"}), UsageError);
    EXPECT_THROW(parse_words({"--image", "a", "--what"}), UsageError);
}

class SensorTest : public testing::Test {
protected:
    ~SensorTest() override { std::filesystem::remove_all(root_); }

    void write(const std::string& path, const char* text) {
        std::filesystem::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }

    std::filesystem::path root_ = std::filesystem::path(testing::TempDir()) / "acne_edge_sensors";
};

TEST_F(SensorTest, ReadsTheHottestZoneAndSumsThePower) {
    write("class/thermal/thermal_zone0/temp", "41500\n");
    write("class/thermal/thermal_zone1/temp", "63000\n");
    write("class/thermal/cooling_device0/temp", "99000\n");
    write("class/hwmon/hwmon0/power1_input", "1500000\n");
    write("class/hwmon/hwmon1/in1_input", "5000\n");  // mV and mA, as Jetson's INA3221 gives them
    write("class/hwmon/hwmon1/curr1_input", "400\n");
    write("class/hwmon/hwmon1/in2_input", "5000\n");  // no current: no power
    const Sensors sensors = read_sensors(root_.string());
    EXPECT_DOUBLE_EQ(sensors.celsius.value(), 63);
    EXPECT_DOUBLE_EQ(sensors.watts.value(), 3.5);
}

TEST_F(SensorTest, ADeviceWithoutSensorsHasNone) {
    const Sensors sensors = read_sensors(root_.string());
    EXPECT_FALSE(sensors.celsius.has_value());
    EXPECT_FALSE(sensors.watts.has_value());
}

Report report_of(const std::vector<double>& values) {
    Report report;
    report.tool = "acne_edge_bench 0";
    report.model = R"({"name":"m","version":"1","sha256":"00","backend":"b"})";
    report.samples = static_cast<int>(values.size());
    report.stages.fill(summarise(values));
    report.series.fill(values);
    return report;
}

TEST(Report, WarnsOfFewSamplesAndOfUnsteadyTimes) {
    EXPECT_EQ(warnings_of(report_of(std::vector<double>(100, 5.0))).size(), 0U);
    EXPECT_EQ(warnings_of(report_of(std::vector<double>(99, 5.0))).size(), 1U);
    EXPECT_EQ(warnings_of(report_of(ramp(100))).size(), 1U);
    EXPECT_EQ(warnings_of(report_of(ramp(10))).size(), 2U);
}

TEST(Report, JsonHasNothingForWhatWasNotMeasured) {
    const auto values = nlohmann::json::parse(to_json(report_of(ramp(10))));
    EXPECT_FALSE(values["stages"]["total"].contains("p99"));
    EXPECT_TRUE(values["cold_start"]["process_ms"].is_null());
    EXPECT_TRUE(values["throughput"].is_null());
    EXPECT_FALSE(values.contains("sensors"));
    EXPECT_EQ(values["stages"]["decode"]["p50"], 5.5);
    EXPECT_EQ(values["samples_ms"]["total"].size(), 10U);
    EXPECT_EQ(values["model"]["name"], "m");
}

}  // namespace
}  // namespace bench
