// What:          the inner loops for processors with AVX2.
// Source:        this project; bit counting by a table of half bytes (Mula's method).
// Complexity:    see kernels_body.hpp.
// Thread safety: see kernels_body.hpp.
#include <immintrin.h>

#include "kernels.hpp"
#include "kernels_sets.hpp"

namespace deeds {
namespace avx2 {
namespace {
#include "kernels_body.hpp"

struct Words {
    static constexpr bool kManyRegisters = false;
    struct Word {
        __m256i low, high;
    };
    using Sum = Word;
    static Sum zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
    static Word load(const std::uint64_t* p) {
        return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 4))};
    }
    static __m256i bits(__m256i x) {
        const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2,
                                                3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i half = _mm256_set1_epi8(0x0f);
        const __m256i even = _mm256_shuffle_epi8(counts, _mm256_and_si256(x, half));
        const __m256i odd = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), half));
        return _mm256_sad_epu8(_mm256_add_epi8(even, odd), _mm256_setzero_si256());
    }
    static void add(Sum& sum, const Word& word, const Word& other) {
        sum.low = _mm256_add_epi64(sum.low, bits(_mm256_xor_si256(word.low, other.low)));
        sum.high = _mm256_add_epi64(sum.high, bits(_mm256_xor_si256(word.high, other.high)));
    }
    static void store(std::uint16_t* out, const Sum& sum) {
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(sum.low, sum.high), 0xd8);
        // 32-bit lanes now hold pairs (value, 0) as 16-bit: value 0 value 0 ...
        const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 8,
                                               9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
        const __m256i narrow = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(packed, order), 0x08);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(narrow));
    }
};
}  // namespace
}  // namespace avx2

Kernels avx2_kernels() { return avx2::table<avx2::Words>("avx2"); }

}  // namespace deeds
