#include "device.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include <sys/resource.h>
#include <sys/utsname.h>

namespace bench {
namespace {

namespace fs = std::filesystem;

std::string read_cpu() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        // x86 names the processor in cpuinfo; many ARM kernels name only the board, in the device tree.
        if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    }
    std::string board;
    std::getline(std::ifstream("/proc/device-tree/model"), board, '\0');
    return board.empty() ? "unknown" : board;
}

std::optional<double> read_number(const fs::path& path) {
    double value = 0;
    return std::ifstream(path) >> value ? std::optional<double>(value) : std::nullopt;
}

// Entries of a folder whose names begin with `prefix`; none if there is no such folder.
template <typename Visit>
void for_each(const fs::path& folder, const std::string& prefix, const Visit& visit) {
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing)) {
        if (entry.path().filename().string().rfind(prefix, 0) == 0) visit(entry.path());
    }
}

}  // namespace

Environment read_environment() {
    utsname system{};
    uname(&system);
    return {std::string(system.sysname) + " " + system.release, system.machine, read_cpu(),
            static_cast<int>(std::thread::hardware_concurrency())};
}

double peak_rss_mb() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;  // Linux counts in units of 1024 bytes
}

Sensors read_sensors(const std::string& root) {
    Sensors found;
    for_each(fs::path(root) / "class/thermal", "thermal_zone", [&](const fs::path& zone) {
        const auto millidegrees = read_number(zone / "temp");
        if (millidegrees) found.celsius = std::max(found.celsius.value_or(-273.15), *millidegrees / 1e3);
    });
    for_each(fs::path(root) / "class/hwmon", "hwmon", [&](const fs::path& monitor) {
        for (int channel = 1; channel <= 8; ++channel) {
            const std::string number = std::to_string(channel);
            const auto microwatts = read_number(monitor / ("power" + number + "_input"));
            const auto millivolts = read_number(monitor / ("in" + number + "_input"));
            const auto milliamperes = read_number(monitor / ("curr" + number + "_input"));
            if (microwatts) {
                found.watts = found.watts.value_or(0) + *microwatts / 1e6;
            } else if (millivolts && milliamperes) {
                found.watts = found.watts.value_or(0) + *millivolts * *milliamperes / 1e6;
            }
        }
    });
    return found;
}

}  // namespace bench
