#include "sha256.h"

#include <algorithm>
#include <array>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

namespace acne_edge {
namespace {

constexpr std::size_t kBlock = 64;

alignas(16) constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<std::uint32_t, 8>;
using Absorb = void (*)(State&, const std::uint8_t*, std::size_t);  // so many blocks

std::uint32_t rotate(std::uint32_t x, int bits) { return x >> bits | x << (32 - bits); }

void absorb_block(State& state, const std::uint8_t* block) {
    std::array<std::uint32_t, 64> w;
    for (int i = 0; i < 16; ++i) {
        w[i] = std::uint32_t{block[4 * i]} << 24 | std::uint32_t{block[4 * i + 1]} << 16 | std::uint32_t{block[4 * i + 2]} << 8 |
               block[4 * i + 3];
    }
    for (int i = 16; i < 64; ++i) {
        const std::uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int i = 0; i < 64; ++i) {
        const std::uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
        const std::uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const State mixed = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) state[i] += mixed[i];
}

void absorb(State& state, const std::uint8_t* data, std::size_t blocks) {
    for (; blocks > 0; --blocks, data += kBlock) absorb_block(state, data);
}

// With the processor's own instructions, hashing a model takes milliseconds instead of a tenth of the loading time. Each step does
// four rounds; `words` holds the words of the last sixteen rounds, which the next sixteen replace.
#if defined(__x86_64__)

bool has_instructions() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool sse41 = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1);
    return sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

__attribute__((target("sha,sse4.1"))) void absorb_fast(State& state, const std::uint8_t* data, std::size_t blocks) {
    const auto lanes = [&](int i, int j, int k, int l) {
        return _mm_set_epi32(static_cast<int>(state[i]), static_cast<int>(state[j]), static_cast<int>(state[k]),
                             static_cast<int>(state[l]));
    };
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef = lanes(0, 1, 4, 5), cdgh = lanes(2, 3, 6, 7);
    for (; blocks > 0; --blocks, data += kBlock) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i words[4];
        for (int i = 0; i < 4; ++i) {
            words[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data) + i), swap);
        }
        for (int step = 0; step < 16; ++step) {
            __m128i& now = words[step % 4];
            const __m128i last = words[(step + 3) % 4];
            const __m128i sum = _mm_add_epi32(now, _mm_load_si128(reinterpret_cast<const __m128i*>(kRound.data()) + step));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            const __m128i seven_ago = _mm_alignr_epi8(last, words[(step + 2) % 4], 4);
            now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(now, words[(step + 1) % 4]), seven_ago), last);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    alignas(16) std::array<std::uint32_t, 8> out;
    _mm_store_si128(reinterpret_cast<__m128i*>(out.data()), abef);
    _mm_store_si128(reinterpret_cast<__m128i*>(out.data()) + 1, cdgh);
    state = {out[3], out[2], out[7], out[6], out[1], out[0], out[5], out[4]};
}

#elif defined(__aarch64__)

bool has_instructions() { return (getauxval(AT_HWCAP) & (1UL << 6)) != 0; }  // HWCAP_SHA2 of asm/hwcap.h

__attribute__((target("+crypto"))) void absorb_fast(State& state, const std::uint8_t* data, std::size_t blocks) {
    uint32x4_t abcd = vld1q_u32(state.data()), efgh = vld1q_u32(state.data() + 4);
    for (; blocks > 0; --blocks, data += kBlock) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t words[4];
        for (int i = 0; i < 4; ++i) words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
        for (int step = 0; step < 16; ++step) {
            uint32x4_t& now = words[step % 4];
            const uint32x4_t sum = vaddq_u32(now, vld1q_u32(kRound.data() + 4 * step));
            const uint32x4_t abcd_old = abcd;
            abcd = vsha256hq_u32(abcd, efgh, sum);
            efgh = vsha256h2q_u32(efgh, abcd_old, sum);
            now = vsha256su1q_u32(vsha256su0q_u32(now, words[(step + 1) % 4]), words[(step + 2) % 4], words[(step + 3) % 4]);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state.data(), abcd);
    vst1q_u32(state.data() + 4, efgh);
}

#else

bool has_instructions() { return false; }
constexpr Absorb absorb_fast = absorb;

#endif

}  // namespace

std::string sha256(const std::uint8_t* data, std::size_t size, bool portable) {
    static const bool fast = has_instructions();
    const Absorb take = fast && !portable ? absorb_fast : absorb;
    State state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const std::size_t whole = size / kBlock * kBlock;
    take(state, data, whole / kBlock);

    // What is left, a one bit, zeros, and the length in bits.
    std::array<std::uint8_t, 2 * kBlock> tail{};
    const std::size_t left = size - whole;
    std::copy(data + whole, data + size, tail.begin());
    tail[left] = 0x80;
    const std::size_t length = left + 9 <= kBlock ? kBlock : 2 * kBlock;
    for (int i = 0; i < 8; ++i) tail[length - 1 - i] = static_cast<std::uint8_t>(std::uint64_t{size} * 8 >> (8 * i));
    take(state, tail.data(), length / kBlock);

    std::string hex;
    for (const std::uint32_t word : state) {
        for (int shift = 28; shift >= 0; shift -= 4) hex += "0123456789abcdef"[word >> shift & 15];
    }
    return hex;
}

}  // namespace acne_edge
