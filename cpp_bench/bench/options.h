// The command line of acne_edge_bench.
#pragma once

#include <stdexcept>
#include <string>

#include "acne_edge.h"

namespace bench {

struct Options {
    std::string image;
    std::string model;   // empty: the shipped one
    std::string cache;   // folder of optimised graphs; empty: none
    acne_edge_backend backend = ACNE_EDGE_BACKEND_AUTO;
    int samples = 200;
    int warmup = 20;
    int threads = 0;     // inside an operator; 0 lets the runtime choose
    int streams = 0;     // 0: no measurement of throughput
    int cold_starts = 3;
    bool json = false;
    bool sensors = false;
    bool once = false;   // predict once and print the prediction; the process for measuring the cold start
    bool turns = false;  // predict once for each line of standard input
    bool help = false;
    bool version = false;
};

// A wrong command line; the message says why.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const char* usage();

// Throws UsageError.
Options parse(int argc, char** argv);

}  // namespace bench
