// What the operating system reports about the device.
#pragma once

#include <optional>
#include <string>

namespace bench {

struct Environment {
    std::string os;
    std::string machine;  // processor architecture
    std::string cpu;
    int cores = 0;
};

Environment read_environment();

// The most memory this process has held, in MB of 10^6 bytes.
double peak_rss_mb();

struct Sensors {
    std::optional<double> celsius;  // the hottest thermal zone
    std::optional<double> watts;    // sum of the power sensors: INA current monitors, as on Jetson boards, and hwmon power
};

// `root` is the mount point of sysfs.
Sensors read_sensors(const std::string& root = "/sys");

}  // namespace bench
