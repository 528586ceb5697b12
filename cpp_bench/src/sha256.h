#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace acne_edge {

// The SHA-256 digest (FIPS 180-4), hexadecimal. It is implemented here so that firmware needs no cryptography library just to
// hash a file. `portable` does not use the processor's own instructions, for the tests.
std::string sha256(const std::uint8_t* data, std::size_t size, bool portable = false);

}  // namespace acne_edge
