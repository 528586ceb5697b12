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

    // The same of a model file in memory, which must outlive this.
    ModelFile(ByteView file, const std::string& sha256);

    // To look at, not to run: not yet compared with the digest.
    ByteView unchecked() const { return file_.bytes(); }

    // Makes the digest, once; may be called by a thread that has nothing better to do while a runtime gets ready.
    const std::string& digest() const { return digest_.get(); }

    // Throws Error if the digest is not the one it must be.
    ByteView checked() const;

    // The digest that the file must have, or else has.
    const std::string& sha256() const { return expected_.empty() ? digest() : expected_; }

private:
    ModelFile(const std::string& name, const MappedFile& file, const std::string& sha256);

    std::string name_;  // errors begin with it
    std::string expected_;
    MappedFile file_;
    std::shared_future<std::string> digest_;
};

}  // namespace acne_edge
