// What:          Hamming sums of patches over all displacements.
// Source:        Heinrich et al., MICCAI 2013.
// Complexity:    samples of a patch times displacements.
// Thread safety: functions of their arguments.
//
// A part of kernels_body.hpp, which says what may stand here.

template <int kLength, class Words>
void hamming_sums_of_length(const HammingBlock& block) {
    std::uint16_t* sums = block.sums;
    for (int k = 0; k < kLength; ++k) {
        for (int j = 0; j < kLength; ++j) {
            typename Words::Sum sum[kLength];
            for (int i = 0; i < kLength; ++i) sum[i] = Words::zero();
            const std::uint64_t* fixed = block.fixed;
            for (int r = 0; r < block.rows; ++r, fixed += block.fixed_row_stride) {
                const std::uint64_t* row = block.moving + block.offset_k[block.row_k[r] + k * block.quantization] +
                                           block.offset_j[block.row_j[r] + j * block.quantization];
                const std::int64_t* offset = block.offset_i;
                for (int s = 0; s < block.spacing; ++s, offset += kLength) {
                    const typename Words::Word word = Words::load(fixed + s * block.fixed_phase_stride);
                    for (int i = 0; i < kLength; ++i) Words::add(sum[i], word, Words::load(row + offset[i]));
                }
            }
            for (int i = 0; i < kLength; ++i, sums += kLanes) Words::store(sums, sum[i]);
        }
    }
}

/// The same for the usual levels: every moving word is loaded once and compared with each sample that meets it.
template <int kLength, int kSpacing, int kQuantization, class Words>
void hamming_sums_of_level(const HammingBlock& block) {
    std::uint16_t* sums = block.sums;
    for (int k = 0; k < kLength; ++k) {
        for (int j = 0; j < kLength; ++j) {
            typename Words::Sum sum[kLength];
            for (int i = 0; i < kLength; ++i) sum[i] = Words::zero();
            const std::uint64_t* fixed = block.fixed;
            for (int r = 0; r < block.rows; ++r, fixed += block.fixed_row_stride) {
                const std::uint64_t* row = block.moving + block.offset_k[block.row_k[r] + k * kQuantization] +
                                           block.offset_j[block.row_j[r] + j * kQuantization];
                typename Words::Word word[kSpacing];
#pragma GCC unroll 16
                for (int s = 0; s < kSpacing; ++s) word[s] = Words::load(fixed + s * block.fixed_phase_stride);
#pragma GCC unroll 64
                for (int i = 0; i < kSpacing + (kLength - 1) * kQuantization; ++i) {
                    const typename Words::Word moving =
                        Words::load(row + (i % kSpacing) * block.fixed_phase_stride + i / kSpacing);
#pragma GCC unroll 16
                    for (int s = 0; s < kSpacing; ++s) {
                        const int steps = i - s;
                        if (steps < 0 || steps % kQuantization != 0 || steps / kQuantization >= kLength) continue;
                        Words::add(sum[steps / kQuantization], word[s], moving);
                    }
                }
            }
            for (int i = 0; i < kLength; ++i, sums += kLanes) Words::store(sums, sum[i]);
        }
    }
}

template <class Words>
bool hamming_sums_of_usual_level(const HammingBlock& block) {
    switch (block.length * 10000 + block.spacing * 100 + block.quantization) {
        case 110502: hamming_sums_of_level<11, 5, 2, Words>(block); return true;
        case 90402: hamming_sums_of_level<9, 4, 2, Words>(block); return true;
        case 70301: hamming_sums_of_level<7, 3, 1, Words>(block); return true;
        case 110704: hamming_sums_of_level<11, 7, 4, Words>(block); return true;
        case 90603: hamming_sums_of_level<9, 6, 3, Words>(block); return true;
        case 70502: hamming_sums_of_level<7, 5, 2, Words>(block); return true;
        case 50401: hamming_sums_of_level<5, 4, 1, Words>(block); return true;
        case 70803: hamming_sums_of_level<7, 8, 3, Words>(block); return true;
        case 70602: hamming_sums_of_level<7, 6, 2, Words>(block); return true;
        case 70401: hamming_sums_of_level<7, 4, 1, Words>(block); return true;
        default: return false;
    }
}

/// Any length: one label along i at a time.
template <class Words>
void hamming_sums_of_any_length(const HammingBlock& block) {
    std::uint16_t* sums = block.sums;
    const int length = block.length;
    for (int k = 0; k < length; ++k) {
        for (int j = 0; j < length; ++j) {
            for (int i = 0; i < length; ++i, sums += kLanes) {
                typename Words::Sum sum = Words::zero();
                const std::uint64_t* fixed = block.fixed;
                for (int r = 0; r < block.rows; ++r, fixed += block.fixed_row_stride) {
                    const std::uint64_t* row = block.moving + block.offset_k[block.row_k[r] + k * block.quantization] +
                                               block.offset_j[block.row_j[r] + j * block.quantization];
                    for (int s = 0; s < block.spacing; ++s) {
                        Words::add(sum, Words::load(fixed + s * block.fixed_phase_stride),
                                   Words::load(row + block.offset_i[s * length + i]));
                    }
                }
                Words::store(sums, sum);
            }
        }
    }
}

template <class Words>
void hamming_sums(const HammingBlock& block) {
    if constexpr (Words::kManyRegisters) {
        if (hamming_sums_of_usual_level<Words>(block)) return;
    }
    switch (block.length) {
        case 3: return hamming_sums_of_length<3, Words>(block);
        case 5: return hamming_sums_of_length<5, Words>(block);
        case 7: return hamming_sums_of_length<7, Words>(block);
        case 9: return hamming_sums_of_length<9, Words>(block);
        case 11: return hamming_sums_of_length<11, Words>(block);
        case 13: return hamming_sums_of_length<13, Words>(block);
        case 15: return hamming_sums_of_length<15, Words>(block);
        case 17: return hamming_sums_of_length<17, Words>(block);
        default: return hamming_sums_of_any_length<Words>(block);
    }
}

void transpose_sums(const std::uint16_t* __restrict sums, std::int64_t labels, int count,
                    std::uint16_t* __restrict out, std::int64_t stride) {
    for (int c = 0; c < count; ++c) {
        std::uint16_t* __restrict row = out + c * stride;
        for (std::int64_t label = 0; label < labels; ++label) row[label] = sums[label * kLanes + c];
    }
}
