// What:          the inner loops for processors with AVX-512 and its bit counts (VPOPCNTDQ).
// Source:        this project.
// Complexity:    see kernels_body.hpp.
// Thread safety: see kernels_body.hpp.
#include <immintrin.h>

#include "kernels.hpp"
#include "kernels_sets.hpp"

namespace deeds {
namespace avx512 {
namespace {
#include "kernels_body.hpp"

struct Words {
    static constexpr bool kManyRegisters = true;
    using Word = __m512i;
    using Sum = __m512i;
    static Sum zero() { return _mm512_setzero_si512(); }
    static Word load(const std::uint64_t* p) { return _mm512_loadu_si512(p); }
    static void add(Sum& sum, Word word, Word other) {
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(word, other)));
    }
    static void store(std::uint16_t* out, Sum sum) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi64_epi16(sum));
    }
};
}  // namespace
}  // namespace avx512

Kernels avx512_kernels() { return avx512::table<avx512::Words>("avx512"); }

}  // namespace deeds
