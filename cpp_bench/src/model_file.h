// A model file, on disk or in memory, and its digest.
#pragma once

#include <future>
#include <string>

#include "mapped_file.h"

namespace acne_edge {

class ModelFile {
public:
    // `sha256` is the digest the file must have, hexadecimal; empty: any. Throws Error if there is no such file.
    ModelFile(const std::string& path, const std::string& sha256);

    // The same for a model file in memory, which must outlive this.
    ModelFile(ByteView file, const std::string& sha256);

    // The bytes before their digest is checked: to inspect, not to run.
    ByteView unchecked() const { return file_.bytes(); }

    // Computes the digest, once; an idle thread may call it while a runtime starts.
    const std::string& digest() const { return digest_.get(); }

    // Throws Error if the digest is not the required one.
    ByteView checked() const;

    // The required digest; without one, the file's own.
    const std::string& sha256() const { return expected_.empty() ? digest() : expected_; }

private:
    ModelFile(const std::string& name, const MappedFile& file, const std::string& sha256);

    std::string name_;  // errors begin with it
    std::string expected_;
    MappedFile file_;
    std::shared_future<std::string> digest_;
};

}  // namespace acne_edge
