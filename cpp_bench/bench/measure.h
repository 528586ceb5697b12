// Runs libacne_edge as firmware would, and measures the time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "acne_edge.h"
#include "mapped_file.h"
#include "options.h"

namespace bench {

// A call of the library that failed; the message is the library's.
struct LibraryError : std::runtime_error {
    explicit LibraryError(acne_edge_status failed);
    acne_edge_status status;
};

struct CloseModel {
    void operator()(acne_edge_model* model) const { acne_edge_close(model); }
};
struct FreeResult {
    void operator()(acne_edge_result* result) const { acne_edge_result_free(result); }
};
using Model = std::unique_ptr<acne_edge_model, CloseModel>;
using Result = std::unique_ptr<acne_edge_result, FreeResult>;
using Bytes = acne_edge::ByteView;

inline constexpr std::array<const char*, 7> kStages = {"decode",    "framing",        "quality", "preprocess",
                                                       "inference", "interpretation", "total"};
using StageSeries = std::array<std::vector<double>, kStages.size()>;  // milliseconds, one per sample

// The shipped model: its file, and the digest that the index lists. Throws std::runtime_error.
struct ModelFile {
    std::string path;
    std::string sha256;  // empty: not checked
};
ModelFile find_model(const std::string& given);

acne_edge::MappedFile map_file(const std::string& path);
Model open_model(const ModelFile& file, const Options& options);
std::pair<Model, Result> open_and_predict(const ModelFile& file, const Options& options, Bytes jpeg);
Result predict(const acne_edge_model* model, Bytes jpeg);
std::string to_json(const acne_edge_result* result, const std::string& path);

// Milliseconds in the order of kStages.
std::array<double, kStages.size()> stages_of(const acne_edge_timings& timings);

// `samples` predictions after `warmup` uncounted ones; `between` is called after each, outside the measured time.
StageSeries measure_warm(const acne_edge_model* model, Bytes jpeg, int warmup, int samples, const std::function<void()>& between);

// Images per second of `streams` threads that make `samples` predictions together on one model.
double measure_throughput(const acne_edge_model* model, Bytes jpeg, int streams, int samples);

// Milliseconds from start to end of processes that load the model and predict once, one value per process. An unmeasured process
// before them fills the disk cache and the cache of `options`.
std::vector<double> measure_cold(const Options& options, int starts);

double milliseconds_of(const std::function<void()>& body);

}  // namespace bench
