#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace acne_edge {

// The SHA-256 digest (FIPS 180-4), hexadecimal. Here because a library for firmware should not need a cryptography library to
// name a file. `portable` leaves the processor's own instructions unused, for the tests.
std::string sha256(const std::uint8_t* data, std::size_t size, bool portable = false);

}  // namespace acne_edge
