// What:          patch sums, words and differences of patches.
// Source:        Heinrich et al., MICCAI 2013.
// Complexity:    linear in the samples.
// Thread safety: functions of their arguments.
//
// A part of kernels_body.hpp, which says what may stand here.

void squared_difference(const float* __restrict a, const float* __restrict b, std::int64_t count, bool accumulate,
                        float* __restrict out) {
    if (accumulate) {
        for (std::int64_t x = 0; x < count; ++x) out[x] += (a[x] - b[x]) * (a[x] - b[x]);
    } else {
        for (std::int64_t x = 0; x < count; ++x) out[x] = (a[x] - b[x]) * (a[x] - b[x]);
    }
}

void sum_rows(const float* const* rows, int row_count, std::int64_t count, float* __restrict out) {
    const float* __restrict first = rows[0];
    for (std::int64_t x = 0; x < count; ++x) out[x] = first[x];
    int r = 1;
    for (; r + 1 < row_count; r += 2) {
        const float* __restrict a = rows[r];
        const float* __restrict b = rows[r + 1];
        for (std::int64_t x = 0; x < count; ++x) out[x] = out[x] + a[x] + b[x];
    }
    if (r < row_count) {
        const float* __restrict a = rows[r];
        for (std::int64_t x = 0; x < count; ++x) out[x] += a[x];
    }
}

void sum_along(const float* __restrict in, int radius, std::int64_t count, float* __restrict out) {
    for (std::int64_t x = 0; x < count; ++x) out[x] = in[x];
    for (int r = 1; r <= radius; ++r) {
        for (std::int64_t x = 0; x < count; ++x) out[x] += in[x - r] + in[x + r];
    }
}

void quantise(const float* const channels[kChannels], std::int64_t count, std::uint64_t* __restrict words) {
    // -ln((c + 1.5) / 6): the descriptor exp(-value) would be rounded between these values.
    constexpr float kBounds[kLevelBits] = {1.38629436f, 0.87546874f, 0.53899650f, 0.28768207f, 0.08701138f};
    constexpr int kHalf = kChannels / 2;
    constexpr std::int64_t kChunk = 64;
    float value[kChannels][kChunk];
    float bound[kLevelBits][kChunk];
    std::uint32_t low[kChunk], high[kChunk];
    for (std::int64_t start = 0; start < count; start += kChunk) {
        const std::int64_t n = count - start < kChunk ? count - start : kChunk;
        float least[kChunk], sum[kChunk];
        for (std::int64_t x = 0; x < kChunk; ++x) least[x] = 3.0e38f;
        for (int c = 0; c < kChannels; ++c) {
            const float* __restrict source = channels[c] + start;
            if (n == kChunk) {
                for (std::int64_t x = 0; x < kChunk; ++x) value[c][x] = source[x];
            } else {
                for (std::int64_t x = 0; x < kChunk; ++x) value[c][x] = 0;
                for (std::int64_t x = 0; x < n; ++x) value[c][x] = source[x];
            }
            for (std::int64_t x = 0; x < kChunk; ++x) least[x] = smaller(value[c][x], least[x]);
        }
        for (std::int64_t x = 0; x < kChunk; ++x) sum[x] = 0;
        for (int c = 0; c < kChannels; ++c) {
            for (std::int64_t x = 0; x < kChunk; ++x) {
                value[c][x] -= least[x];
                sum[x] += value[c][x];
            }
        }
        for (std::int64_t x = 0; x < kChunk; ++x) {
            float mean = sum[x] / static_cast<float>(kChannels);
            mean = mean < 1e-6f ? 1e-6f : mean;
            for (int b = 0; b < kLevelBits; ++b) bound[b][x] = kBounds[b] * mean;
        }
        for (std::int64_t x = 0; x < kChunk; ++x) {
            std::uint32_t l = 0, h = 0;
            for (int c = 0; c < kHalf; ++c) {
                for (int b = 0; b < kLevelBits; ++b) {
                    const std::uint32_t bit = std::uint32_t{1} << (kLevelBits * c + b);
                    l |= value[c][x] < bound[b][x] ? bit : 0u;
                    h |= value[c + kHalf][x] < bound[b][x] ? bit : 0u;
                }
            }
            low[x] = l;
            high[x] = h;
        }
        for (std::int64_t x = 0; x < n; ++x) {
            words[start + x] = std::uint64_t{low[x]} | (std::uint64_t{high[x]} << (kLevelBits * kHalf));
        }
    }
}

void absolute_difference(const float* __restrict a, const float* __restrict b, std::int64_t count,
                         float* __restrict out) {
    for (std::int64_t x = 0; x < count; ++x) out[x] += __builtin_fabsf(a[x] - b[x]);
}
