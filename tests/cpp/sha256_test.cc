#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sha256.h"

namespace acne_edge {
namespace {

std::string digest(const std::string& text) { return sha256(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()); }

// The examples of FIPS 180-4.
TEST(Sha256, GivesTheStandardsDigests) {
    EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(digest(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, IsTheSameWithAndWithoutTheProcessorsInstructions) {
    std::vector<std::uint8_t> bytes(1000);
    std::mt19937 random(1);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        ASSERT_EQ(sha256(bytes.data(), size), sha256(bytes.data(), size, true)) << size << " bytes";
    }
}

}  // namespace
}  // namespace acne_edge
