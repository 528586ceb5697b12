// acne_edge_bench: see usage() in options.cc. Exit codes are those of `acne-edge`.
#include <cstdio>
#include <cstdlib>

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "measure.h"
#include "options.h"
#include "report.h"
#include "sha256.h"

namespace {

using namespace bench;

int exit_code(acne_edge_status status) {
    switch (status) {
        case ACNE_EDGE_STATUS_USAGE: return 2;
        case ACNE_EDGE_STATUS_POOR_QUALITY:
        case ACNE_EDGE_STATUS_IMAGE_DECODE:
        case ACNE_EDGE_STATUS_IMAGE_SIZE: return 3;
        case ACNE_EDGE_STATUS_MODEL:
        case ACNE_EDGE_STATUS_MANIFEST:
        case ACNE_EDGE_STATUS_MODEL_INTEGRITY:
        case ACNE_EDGE_STATUS_BACKEND: return 4;
        default: return 1;
    }
}

// The mean of the sensors' values over the samples.
class SensorLog {
public:
    void add(const Sensors& now) {
        add(celsius_, now.celsius);
        add(watts_, now.watts);
    }
    Sensors mean() const { return {mean(celsius_), mean(watts_)}; }

private:
    static void add(std::vector<double>& log, const std::optional<double>& value) {
        if (value) log.push_back(*value);
    }
    static std::optional<double> mean(const std::vector<double>& log) {
        return log.empty() ? std::nullopt : std::optional<double>(summarise(log).mean);
    }

    std::vector<double> celsius_, watts_;
};

Report measure(const Options& options) {
    const ModelFile file = find_model(options.model);
    const acne_edge::MappedFile photograph = map_file(options.image);
    Report report;
    report.tool = std::string("acne_edge_bench ") + acne_edge_version();
    report.environment = read_environment();
    report.threads = options.threads;
    report.samples = options.samples;
    report.image_bytes = photograph.bytes().size();
    report.image_sha256 = acne_edge::sha256(photograph.bytes().data(), photograph.bytes().size());
    // First, before anything else in this process warms the caches.
    if (options.cold_starts > 0) report.cold_start.process_ms = summarise(measure_cold(options, options.cold_starts)).p50;
    Model model;
    report.cold_start.session_ms = milliseconds_of([&] { model = open_model(file, options); });
    const Result first = predict(model.get(), photograph.bytes());
    report.cold_start.first_inference_ms = first->timings->inference;
    report.model = nlohmann::json::parse(to_json(first.get(), options.image))["model"].dump();

    SensorLog sensors;
    report.series = measure_warm(model.get(), photograph.bytes(), options.warmup, options.samples, [&] {
        if (options.sensors) sensors.add(read_sensors());
    });
    for (std::size_t s = 0; s < report.series.size(); ++s) report.stages[s] = summarise(report.series[s]);
    if (options.sensors) report.sensors = sensors.mean();
    if (options.streams > 0) {
        report.throughput = {options.streams,
                             measure_throughput(model.get(), photograph.bytes(), options.streams, options.samples)};
    }
    report.peak_rss_mb = peak_rss_mb();
    report.warnings = warnings_of(report);
    return report;
}

// Another program takes turns with this one, prediction by prediction, so that changes of the machine's speed affect both.
void take_turns(const Options& options) {
    const acne_edge::MappedFile photograph = map_file(options.image);
    const Model model = open_model(find_model(options.model), options);
    for (int character; (character = std::getchar()) != EOF;) {
        if (character != '\n') continue;
        std::puts(to_json(*predict(model.get(), photograph.bytes())->timings).c_str());
        std::fflush(stdout);
    }
}

// A process that makes one prediction spends a tenth of its time on getting memory page by page. One block of large pages is
// faster. On systems without large pages, this changes nothing.
void take_large_pages() {
    constexpr std::size_t kHeap = std::size_t{48} << 20, kLargePage = std::size_t{2} << 20, kHeader = 4096;
    mallopt(M_ARENA_MAX, 1);  // the thread that opens the model uses the same heap
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 2 * kHeap);
    // Malloc's header before the block would split the first large page into small ones.
    const std::size_t past = (reinterpret_cast<std::uintptr_t>(sbrk(0)) + kHeader) % kLargePage;
    sbrk(static_cast<std::intptr_t>(kLargePage - past));
    void* const start = static_cast<char*>(sbrk(0)) + kHeader;
    void* volatile block = std::malloc(kHeap);
    std::free(block);
    madvise(start, kHeap - kLargePage, MADV_HUGEPAGE);
}

int run(const Options& options) {
    if (options.help) {
        std::fputs(usage(), stdout);
    } else if (options.version) {
        std::printf("acne_edge_bench %s, libacne_edge %s\n", ACNE_EDGE_BENCH_VERSION, acne_edge_version());
    } else if (options.once) {
        take_large_pages();
        const acne_edge::MappedFile photograph = map_file(options.image);
        const auto [model, result] = open_and_predict(find_model(options.model), options, photograph.bytes());
        std::puts(to_json(result.get(), options.image).c_str());
        // As in a device that wakes up for one photograph: memory is freed by the end of the process, not piece by piece.
        std::fflush(stdout);
        std::_Exit(0);
    } else if (options.turns) {
        take_turns(options);
    } else {
        const Report report = measure(options);
        std::puts((options.json ? to_json(report) : to_text(report)).c_str());
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(parse(argc, argv));
    } catch (const UsageError& error) {
        std::fprintf(stderr, "acne_edge_bench: %s\n", error.what());
        return 2;
    } catch (const LibraryError& error) {
        std::fprintf(stderr, "acne_edge_bench: %s\n", error.what());
        return exit_code(error.status);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "acne_edge_bench: %s\n", error.what());
        return 1;
    }
}
