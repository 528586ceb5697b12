#include "options.h"

#include <charconv>
#include <cstring>

#include <getopt.h>

namespace bench {
namespace {

int parse_count(const char* name, const char* text, int low) {
    int value = 0;
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, value);
    if (error != std::errc() || rest != end || value < low) {
        throw UsageError(std::string("--") + name + " is '" + text + "'; expected an integer of at least " + std::to_string(low));
    }
    return value;
}

acne_edge_backend parse_backend(const std::string& name) {
    if (name == "auto") return ACNE_EDGE_BACKEND_AUTO;
    if (name == "onnxruntime") return ACNE_EDGE_BACKEND_ONNXRUNTIME;
    if (name == "tensorrt") return ACNE_EDGE_BACKEND_TENSORRT;
    throw UsageError("--backend is '" + name + "'; choose one of: auto, onnxruntime, tensorrt");
}

}  // namespace

const char* usage() {
    return "usage: acne_edge_bench --image PHOTO.jpg [options]\n"
           "\n"
           "Measures the latency of libacne_edge on one photograph, by stage, warm and cold.\n"
           "\n"
           "  --image FILE       photograph, a JPEG\n"
           "  --model FILE       model file [the shipped one]\n"
           "  --backend NAME     auto, onnxruntime or tensorrt [auto]\n"
           "  --threads N        threads per operator; 0 lets the runtime choose [0]\n"
           "  --cache DIR        cache of optimised models [no cache]\n"
           "  --samples N        measured predictions; p99 needs 100, p99.9 needs 1000 [200]\n"
           "  --warmup N         unmeasured predictions before them [20]\n"
           "  --streams N        also measure the throughput of N threads at once [0: do not]\n"
           "  --cold-starts N    processes started to measure the cold start; 0: none [3]\n"
           "  --sensors          also print temperature and power from sysfs, if the device has them\n"
           "  --json             print the report as JSON\n"
           "  --once             predict once, print the prediction as JSON, measure nothing\n"
           "  --turns            for each line of standard input, predict and print a line of JSON, the stages' milliseconds\n"
           "  --version          print the version of this program and of the library\n"
           "  --help             print this\n";
}

Options parse(int argc, char** argv) {
    enum {
        kImage = 1,
        kModel,
        kBackend,
        kThreads,
        kCache,
        kSamples,
        kWarmup,
        kStreams,
        kColdStarts,
        kSensors,
        kJson,
        kOnce,
        kTurns,
        kVersion,
        kHelp
    };
    const option known[] = {{"image", required_argument, nullptr, kImage},
                            {"model", required_argument, nullptr, kModel},
                            {"backend", required_argument, nullptr, kBackend},
                            {"threads", required_argument, nullptr, kThreads},
                            {"cache", required_argument, nullptr, kCache},
                            {"samples", required_argument, nullptr, kSamples},
                            {"warmup", required_argument, nullptr, kWarmup},
                            {"streams", required_argument, nullptr, kStreams},
                            {"cold-starts", required_argument, nullptr, kColdStarts},
                            {"sensors", no_argument, nullptr, kSensors},
                            {"json", no_argument, nullptr, kJson},
                            {"once", no_argument, nullptr, kOnce},
                            {"turns", no_argument, nullptr, kTurns},
                            {"version", no_argument, nullptr, kVersion},
                            {"help", no_argument, nullptr, kHelp},
                            {nullptr, 0, nullptr, 0}};
    Options options;
    optind = 0;  // start again: tests parse more than once
    opterr = 0;  // our own messages are printed instead
    for (int found; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        switch (found) {
            case kImage: options.image = optarg; break;
            case kModel: options.model = optarg; break;
            case kBackend: options.backend = parse_backend(optarg); break;
            case kThreads: options.threads = parse_count("threads", optarg, 0); break;
            case kCache: options.cache = optarg; break;
            case kSamples: options.samples = parse_count("samples", optarg, 1); break;
            case kWarmup: options.warmup = parse_count("warmup", optarg, 0); break;
            case kStreams: options.streams = parse_count("streams", optarg, 0); break;
            case kColdStarts: options.cold_starts = parse_count("cold-starts", optarg, 0); break;
            case kSensors: options.sensors = true; break;
            case kJson: options.json = true; break;
            case kOnce: options.once = true; break;
            case kTurns: options.turns = true; break;
            case kVersion: options.version = true; return options;
            case kHelp: options.help = true; return options;
            default: throw UsageError(std::string("unknown or incomplete option '") + argv[optind - 1] + "'; see --help");
        }
    }
    if (optind < argc) throw UsageError(std::string("unexpected argument '") + argv[optind] + "'; see --help");
    if (options.image.empty()) throw UsageError("--image is missing; see --help");
    return options;
}

}  // namespace bench
