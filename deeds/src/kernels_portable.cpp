// What:          the inner loops for any processor.
// Source:        this project; bit counting by the usual halving sums.
// Complexity:    see kernels_body.hpp.
// Thread safety: see kernels_body.hpp.
#include "kernels.hpp"
#include "kernels_sets.hpp"

namespace deeds {
namespace portable {
namespace {
#include "kernels_body.hpp"

struct Words {
    static constexpr bool kManyRegisters = false;
    struct Word {
        const std::uint64_t* at;
    };
    struct Sum {
        std::uint32_t lane[kLanes];
    };
    static Sum zero() { return {}; }
    static Word load(const std::uint64_t* p) { return {p}; }
    static void add(Sum& sum, Word word, Word other) {
        for (int c = 0; c < kLanes; ++c) {
            std::uint64_t x = word.at[c] ^ other.at[c];
            x = x - ((x >> 1) & 0x5555555555555555u);
            x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
            sum.lane[c] += static_cast<std::uint32_t>((x * 0x0101010101010101u) >> 56);
        }
    }
    static void store(std::uint16_t* out, const Sum& sum) {
        for (int c = 0; c < kLanes; ++c) out[c] = static_cast<std::uint16_t>(sum.lane[c]);
    }
};
}  // namespace
}  // namespace portable

Kernels portable_kernels() { return portable::table<portable::Words>("portable"); }

}  // namespace deeds
