// A model file and its digest, which is made on a thread of its own while a runtime gets ready.
#pragma once

#include <future>
#include <string>

#include "mapped_file.h"

namespace acne_edge {

class ModelFile {
public:
    // `sha256` is the digest the file must have, hexadecimal; empty: any. Throws Error if there is no such file.
    ModelFile(const std::string& path, const std::string& sha256);

    // To look at, not to run: not yet compared with the digest.
    ByteView unchecked() const { return file_.bytes(); }

    // Waits for the digest. Throws Error if the file is not the one it must be.
    ByteView checked() const;

    // The digest that the file must have, or else, after a wait, has.
    const std::string& sha256() const { return expected_.empty() ? digest_.get() : expected_; }

private:
    std::string path_;
    std::string expected_;
    MappedFile file_;
    std::shared_future<std::string> digest_;
};

}  // namespace acne_edge
