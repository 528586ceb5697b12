#include "graph_cache.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sha256.h"

namespace acne_edge {
namespace {

constexpr std::size_t kSeal = 64;  // the hexadecimal sha256 of a graph, behind it

std::string digest(const std::string& text) { return sha256(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()); }

// What kernels are chosen by: the kind of the first processor and its instruction sets. Empty if it cannot be told.
std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    std::string found;
    for (std::string line; std::getline(file, line) && !line.empty();) {
        for (const char* name : {"vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU "}) {
            if (line.rfind(name, 0) == 0) found += line + "\n";
        }
    }
    return found;
}

bool is_private(const std::string& folder) {
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), failed);
    mkdir(folder.c_str(), 0700);
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
           (status.st_uid == geteuid() || status.st_uid == 0);
}

// A file as it lies on disk. Copies of ten megabytes would cost more than all that is read of them. Files of the cache are
// replaced and never written to, so what is mapped stays as it is.
Graph map_file(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    void* start = MAP_FAILED;
    if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        start = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    }
    if (file >= 0) close(file);
    if (start == MAP_FAILED) return {};
    const auto size = static_cast<std::size_t>(status.st_size);
    return {{static_cast<const std::uint8_t*>(start), [start, size](const std::uint8_t*) { munmap(start, size); }}, size};
}

}  // namespace

GraphCache::GraphCache(const std::string& folder, const std::string& model_sha256, const std::string& runtime) {
    if (folder.empty()) return;
    const std::string machine = processor();
    if (!machine.empty() && is_private(folder)) {
        path_ = folder + "/" + digest(model_sha256 + "\n" + runtime + "\n" + machine) + ".ort";
    }
}

Graph GraphCache::read() const {
    Graph graph = usable() ? map_file(path_) : Graph();
    if (graph.size <= kSeal) return {};
    graph.size -= kSeal;
    const std::uint8_t* seal = graph.bytes.get() + graph.size;
    return sha256(graph.bytes.get(), graph.size) == std::string(seal, seal + kSeal) ? graph : Graph();
}

std::string GraphCache::temporary() const {
    if (!usable()) return "";
    std::string name = path_ + ".XXXXXX";
    const int file = mkstemp(name.data());
    if (file < 0) return "";
    close(file);
    return name;
}

void GraphCache::keep(const std::string& temporary) const {
    const Graph graph = map_file(temporary);
    std::ofstream file(temporary, std::ios::binary | std::ios::app);
    file << sha256(graph.bytes.get(), graph.size);
    file.close();
    if (graph.size == 0 || !file || std::rename(temporary.c_str(), path_.c_str()) != 0) std::remove(temporary.c_str());
}

}  // namespace acne_edge
