// A disk cache of the graphs that ONNX Runtime has optimised for this machine, because optimising takes most of the time of loading
// a model. Nothing here fails: files that cannot be read, trusted or written are ignored.
#pragma once

#include <string>

#include "mapped_file.h"

namespace acne_edge {

struct Graph {
    MappedFile file;
    ByteView bytes;  // of the file; empty: there is no graph
};

class GraphCache {
public:
    GraphCache() = default;  // none

    // In `folder`, which is made if it is missing. A graph belongs to one model, one build of the runtime and one
    // kind of processor. A folder that others may write to is not used, because a graph runs with the rights of this process.
    GraphCache(const std::string& folder, const std::string& model_sha256, const std::string& runtime);

    bool usable() const { return !path_.empty(); }

    // The graph, if it exists and is intact.
    Graph read() const;

    // A new, empty file beside the cache for the runtime to write a graph to, or an empty string.
    std::string temporary() const;

    // Seal the graph in `temporary` and put it in place in one step, or remove it.
    void keep(const std::string& temporary) const;

private:
    std::string path_;
};

}  // namespace acne_edge
