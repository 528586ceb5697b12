#include "measure.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace bench {
namespace {

void check(acne_edge_status status) {
    if (status != ACNE_EDGE_OK) throw LibraryError(status);
}

// Points into both arguments.
acne_edge_options open_options(const ModelFile& file, const Options& options) {
    acne_edge_options wanted;
    acne_edge_options_init(&wanted, sizeof wanted);
    wanted.backend = options.backend;
    wanted.threads = options.threads;
    if (!file.sha256.empty()) wanted.sha256 = file.sha256.c_str();
    if (!options.cache.empty()) wanted.cache = options.cache.c_str();
    return wanted;
}

// Where an installed program has its models, or else the sources'.
std::string models_folder() {
    std::error_code none;
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", none);
    const std::filesystem::path installed = program.parent_path() / ACNE_EDGE_INSTALLED_MODELS;
    return std::filesystem::exists(installed, none) ? installed.lexically_normal().string() : ACNE_EDGE_MODELS;
}

}  // namespace

LibraryError::LibraryError(acne_edge_status failed) : std::runtime_error(acne_edge_last_error()), status(failed) {}

ModelFile find_model(const std::string& given) {
    if (!given.empty()) return {given, ""};
    const std::string folder = models_folder();
    std::ifstream index(folder + "/index.json");
    const auto listed = nlohmann::json::parse(index, nullptr, false);
    if (listed.is_discarded() || !listed.is_object() || listed.value("models", nlohmann::json::array()).empty()) {
        throw std::runtime_error("no list of shipped models in " + folder + "; name a model with --model");
    }
    const auto& first = listed["models"][0];  // the default model
    return {folder + "/" + first.value("file", ""), first.value("sha256", "")};
}

acne_edge::MappedFile map_file(const std::string& path) {
    acne_edge::MappedFile file;
    try {
        file = acne_edge::MappedFile(path);
    } catch (const std::system_error& error) {
        throw std::runtime_error(path + ": cannot be read (" + error.code().message() + ")");
    }
    if (file.bytes().size() == 0) throw std::runtime_error(path + ": the file is empty");
    return file;
}

Model open_model(const ModelFile& file, const Options& options) {
    const acne_edge_options wanted = open_options(file, options);
    acne_edge_model* model = nullptr;
    check(acne_edge_open(file.path.c_str(), &wanted, &model));
    return Model(model);
}

std::pair<Model, Result> open_and_predict(const ModelFile& file, const Options& options, Bytes jpeg) {
    const acne_edge_options wanted = open_options(file, options);
    acne_edge_model* model = nullptr;
    acne_edge_result* result = nullptr;
    check(acne_edge_open_and_predict(file.path.c_str(), &wanted, jpeg.data(), jpeg.size(), &model, &result));
    return {Model(model), Result(result)};
}

Result predict(const acne_edge_model* model, Bytes jpeg) {
    acne_edge_result* result = nullptr;
    check(acne_edge_predict_jpeg(model, jpeg.data(), jpeg.size(), &result));
    return Result(result);
}

std::string to_json(const acne_edge_result* result, const std::string& path) {
    char* text = nullptr;
    check(acne_edge_result_json(result, path.c_str(), 0, &text));
    const std::unique_ptr<char, void (*)(char*)> owned(text, acne_edge_string_free);
    return text;
}

double milliseconds_of(const std::function<void()>& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::array<double, kStages.size()> stages_of(const acne_edge_timings& t) {
    return {t.decode, t.framing, t.quality, t.preprocess, t.inference, t.interpretation, t.total};
}

StageSeries measure_warm(const acne_edge_model* model, Bytes jpeg, int warmup, int samples,
                         const std::function<void()>& between) {
    for (int i = 0; i < warmup; ++i) predict(model, jpeg);
    StageSeries series;
    for (int i = 0; i < samples; ++i) {
        const auto stages = stages_of(*predict(model, jpeg)->timings);
        for (std::size_t s = 0; s < stages.size(); ++s) series[s].push_back(stages[s]);
        between();
    }
    return series;
}

double measure_throughput(const acne_edge_model* model, Bytes jpeg, int streams, int samples) {
    std::atomic<int> left{samples};
    std::atomic<int> failed{0};
    const double elapsed = milliseconds_of([&] {
        std::vector<std::thread> threads;
        for (int i = 0; i < streams; ++i) {
            threads.emplace_back([&] {
                try {
                    while (left.fetch_sub(1) > 0) predict(model, jpeg);
                } catch (const std::exception&) {
                    ++failed;
                }
            });
        }
        for (auto& thread : threads) thread.join();
    });
    if (failed > 0) throw std::runtime_error("a prediction failed while measuring the throughput");
    return samples / (elapsed / 1e3);
}

std::vector<double> measure_cold(const Options& options, int starts) {
    std::string threads = std::to_string(options.threads);
    std::vector<std::string> words = {"acne_edge_bench", "--once", "--image", options.image, "--threads", threads};
    if (!options.model.empty()) words.insert(words.end(), {"--model", options.model});
    if (!options.cache.empty()) words.insert(words.end(), {"--cache", options.cache});
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    std::vector<double> times;
    bool failed = false;
    for (int i = 0; i <= starts && !failed; ++i) {
        times.push_back(milliseconds_of([&] {
            pid_t child = 0;
            int status = 0;
            failed = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environ) != 0 ||
                     waitpid(child, &status, 0) != child || status != 0;
        }));
    }
    posix_spawn_file_actions_destroy(&actions);
    if (failed) throw std::runtime_error("the process for measuring the cold start failed");
    times.erase(times.begin());
    return times;
}

}  // namespace bench
