// The golden cases that golden.py wrote.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/utsname.h>

#include <nlohmann/json.hpp>

inline std::string golden_path(const std::string& file) {
    const char* folder = std::getenv("ACNE_EDGE_GOLDEN");
    if (folder == nullptr) throw std::runtime_error("ACNE_EDGE_GOLDEN names no folder; run the tests with ctest");
    return std::string(folder) + "/" + file;
}

inline std::vector<std::uint8_t> read_golden(const std::string& file) {
    std::ifstream stream(golden_path(file), std::ios::binary);
    if (!stream) throw std::runtime_error(file + " is not among the golden files");
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// Whether a slow test takes the golden case: all of them, or every n-th where ACNE_EDGE_GOLDEN_EVERY is n, under an emulator.
inline bool is_taken(std::size_t index) {
    const char* every = std::getenv("ACNE_EDGE_GOLDEN_EVERY");
    return every == nullptr || index % std::stoul(every) == 0;
}

inline const nlohmann::json& golden();

// Whether the golden cases were predicted on a processor of this kind.
inline bool is_same_machine() {
    utsname system{};
    uname(&system);
    return golden()["machine"] == system.machine;
}

inline const nlohmann::json& golden() {
    static const nlohmann::json cases = [] {
        const auto bytes = read_golden("cases.json");
        return nlohmann::json::parse(bytes.begin(), bytes.end());
    }();
    return cases;
}
