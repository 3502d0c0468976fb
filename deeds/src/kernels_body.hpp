// What:          the inner loops, written once and compiled once for every instruction set.
// Source:        descriptor: Heinrich et al., MICCAI 2013; messages: Felzenszwalb & Huttenlocher's min-sum,
//                by exact separable enumeration as in Heinrich et al., IEEE TMI 2013.
// Complexity:    linear in the samples, except min_plus: 3 length^4.
// Thread safety: functions of their arguments.
//
// Included by kernels_<set>.cpp inside a namespace of that set. Such a file is compiled with flags that other
// machines do not run, so nothing here may instantiate a template of the standard library: the linker could keep
// that copy for the whole program. Every float expression is written in one order, without contraction, so all
// sets give the same bits.

using Vector = float __attribute__((vector_size(sizeof(float) * kVectorFloats)));
using Steps = std::uint16_t __attribute__((vector_size(sizeof(std::uint16_t) * kVectorFloats)));
using Integers = std::int32_t __attribute__((vector_size(sizeof(std::int32_t) * kVectorFloats)));

// Copies, not casts of the pointer: rows begin anywhere, and a vector in memory is taken to be aligned.
inline Vector load(const float* p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline void store(float* p, Vector v) { __builtin_memcpy(p, &v, sizeof v); }
inline Vector load_steps(const std::uint16_t* p) {
    Steps steps;
    __builtin_memcpy(&steps, p, sizeof steps);
    return __builtin_convertvector(__builtin_convertvector(steps, Integers), Vector);
}
inline void store_steps(std::uint16_t* p, Vector v) {
    const Steps steps = __builtin_convertvector(__builtin_convertvector(v, Integers), Steps);
    __builtin_memcpy(p, &steps, sizeof steps);
}
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
inline Vector broadcast(float value) { return Vector{} + value; }
inline float smaller(float a, float b) { return a < b ? a : b; }

// ---------------------------------------------------------------------------------------------- descriptor

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

// ---------------------------------------------------------------------------------------------- warp

void warp_row(const WarpRow& row) {
    constexpr std::int64_t kChunk = 64;
    const float* __restrict image = row.image;
    const float last_x = static_cast<float>(row.size_x - 1);
    const float last_y = static_cast<float>(row.size_y - 1);
    const float last_z = static_cast<float>(row.size_z - 1);
    const std::int64_t stride_y = row.size_x, stride_z = row.size_x * row.size_y;
    const std::int64_t last = row.size_x * row.size_y * row.size_z - 1;
    std::int64_t corner[kChunk], step_y[kChunk], step_z[kChunk];
    std::int32_t inner[kChunk] = {};
    float fx[kChunk] = {}, fy[kChunk] = {}, fz[kChunk] = {}, pairs[4][2 * kChunk] = {}, value[kChunk];
    for (std::int64_t start = 0; start < row.count; start += kChunk) {
        const std::int64_t n = row.count - start < kChunk ? row.count - start : kChunk;
        const float* __restrict xs = row.x + start;
        const float* __restrict ys = row.y + start;
        const float* __restrict zs = row.z + start;
        float* __restrict out = row.out + start;
        for (std::int64_t t = 0; t < n; ++t) {
            const float x0 = xs[t] < 0 ? 0 : xs[t], y0 = ys[t] < 0 ? 0 : ys[t], z0 = zs[t] < 0 ? 0 : zs[t];
            const float x = x0 > last_x ? last_x : x0, y = y0 > last_y ? last_y : y0, z = z0 > last_z ? last_z : z0;
            const std::int32_t ix = static_cast<std::int32_t>(x), iy = static_cast<std::int32_t>(y),
                               iz = static_cast<std::int32_t>(z);
            fx[t] = x - static_cast<float>(ix);
            fy[t] = y - static_cast<float>(iy);
            fz[t] = z - static_cast<float>(iz);
            corner[t] = iz * stride_z + iy * stride_y + ix;
            inner[t] = x < last_x ? 1 : 0;
            step_y[t] = y < last_y ? stride_y : 0;
            step_z[t] = z < last_z ? stride_z : 0;
        }
        // Two neighbours along x are one load; the last voxel of all has none behind it.
        for (std::int64_t t = 0; t < n; ++t) {
            const std::int64_t at[4] = {corner[t], corner[t] + step_y[t], corner[t] + step_z[t], corner[t] + step_z[t] + step_y[t]};
            if (at[3] < last) {
                for (int p = 0; p < 4; ++p) __builtin_memcpy(&pairs[p][2 * t], image + at[p], 2 * sizeof(float));
            } else {
                for (int p = 0; p < 4; ++p) {
                    pairs[p][2 * t] = image[at[p]];
                    pairs[p][2 * t + 1] = image[at[p] + inner[t]];
                }
            }
        }
        // What is behind n is not kept; whole chunks are single vector loops.
        for (std::int64_t t = 0; t < kChunk; ++t) {
            float along_x[4];
            for (int p = 0; p < 4; ++p) {
                const float low = pairs[p][2 * t], high = inner[t] != 0 ? pairs[p][2 * t + 1] : low;
                along_x[p] = low + fx[t] * (high - low);
            }
            const float near = along_x[0] + fy[t] * (along_x[1] - along_x[0]);
            const float far = along_x[2] + fy[t] * (along_x[3] - along_x[2]);
            value[t] = near + fz[t] * (far - near);
        }
        for (std::int64_t t = 0; t < n; ++t) out[t] = value[t];
        if (!row.replicate) {
            for (std::int64_t t = 0; t < n; ++t) {
                const bool inside = xs[t] >= 0 && xs[t] <= last_x && ys[t] >= 0 && ys[t] <= last_y && zs[t] >= 0 &&
                                    zs[t] <= last_z;
                out[t] = inside ? out[t] : row.background;
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------- data cost

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

// ---------------------------------------------------------------------------------------------- messages

void belief(const std::uint16_t* data, float scale, const float* received, float weight, LabelShape shape, float* out) {
    if (data == nullptr) {
        for (std::int64_t x = 0; x < shape.floats(); x += kVectorFloats) store(out + x, load(received + x) * weight);
        return;
    }
    for (int row = 0; row < shape.rows(); ++row, data += shape.length, out += shape.padded) {
        for (int x = 0; x < shape.padded; x += kVectorFloats) {
            Vector value = load_steps(data + x) * scale;
            if (received != nullptr) value += load(received + x);
            store(out + x, value * weight);
        }
        if (received != nullptr) received += shape.padded;
    }
}

/// One slow axis: `outer` blocks of `length` lines that lie `stride` floats apart; cost[d + length - 1].
template <int kLength>
void min_plus_slow(const float* in, float* out, int outer, std::int64_t outer_stride, std::int64_t stride,
                   std::int64_t line, int runtime_length, const float* cost) {
    const int length = kLength > 0 ? kLength : runtime_length;
    for (int o = 0; o < outer; ++o) {
        for (std::int64_t x = 0; x < line; x += kVectorFloats) {
            const float* from = in + o * outer_stride + x;
            float* to = out + o * outer_stride + x;
            if constexpr (kLength > 0) {
                Vector value[kLength];
                for (int l = 0; l < kLength; ++l) value[l] = load(from + l * stride);
                for (int p = 0; p < kLength; ++p) {
                    Vector least = value[0] + cost[p + length - 1];
                    for (int l = 1; l < kLength; ++l) least = smaller(value[l] + cost[p - l + length - 1], least);
                    store(to + p * stride, least);
                }
            } else {
                for (int p = 0; p < length; ++p) {
                    Vector least = load(from) + cost[p + length - 1];
                    for (int l = 1; l < length; ++l) {
                        least = smaller(load(from + l * stride) + cost[p - l + length - 1], least);
                    }
                    store(to + p * stride, least);
                }
            }
        }
    }
}

/// The fast axis: each row by broadcasting its labels; cost is readable `padded` floats from every label.
template <int kLength>
void min_plus_fast(const float* in, float* out, LabelShape shape, const float* cost) {
    const int length = kLength > 0 ? kLength : shape.length;
    const int padded = kLength > 0 ? (kLength + kVectorFloats - 1) / kVectorFloats * kVectorFloats : shape.padded;
    for (int row = 0; row < shape.rows(); ++row, in += padded, out += padded) {
        for (int x = 0; x < padded; x += kVectorFloats) {
            Vector least = broadcast(in[0]) + load(cost + length - 1 + x);
            for (int l = 1; l < length; ++l) {
                least = smaller(broadcast(in[l]) + load(cost + length - 1 - l + x), least);
            }
            store(out + x, least);
        }
    }
}

template <int kLength>
void min_plus_of_length(float* values, float* scratch, LabelShape shape, const float delta[3]) {
    constexpr int kMaximumLength = 2 * kMaximumRadius + 1;
    float cost[3][2 * kMaximumLength + 2 * kVectorFloats];
    const int length = shape.length;
    for (int axis = 0; axis < 3; ++axis) {
        for (int d = 0; d < length + shape.padded; ++d) {
            const float distance = static_cast<float>(d - (length - 1)) + delta[axis];
            cost[axis][d] = distance * distance;
        }
    }
    const std::int64_t row = shape.padded, slab = row * length;
    min_plus_fast<kLength>(values, scratch, shape, cost[0]);
    min_plus_slow<kLength>(scratch, values, length, slab, row, row, length, cost[1]);
    if constexpr (kLength > 0) {  // which reads a whole line before it writes one
        min_plus_slow<kLength>(values, values, 1, 0, slab, slab, length, cost[2]);
    } else {
        min_plus_slow<kLength>(values, scratch, 1, 0, slab, slab, length, cost[2]);
        for (std::int64_t x = 0; x < shape.floats(); x += kVectorFloats) store(values + x, load(scratch + x));
    }
}

void min_plus(float* values, float* scratch, LabelShape shape, const float delta[3]) {
    switch (shape.length) {
        case 3: return min_plus_of_length<3>(values, scratch, shape, delta);
        case 5: return min_plus_of_length<5>(values, scratch, shape, delta);
        case 7: return min_plus_of_length<7>(values, scratch, shape, delta);
        case 9: return min_plus_of_length<9>(values, scratch, shape, delta);
        case 11: return min_plus_of_length<11>(values, scratch, shape, delta);
        case 13: return min_plus_of_length<13>(values, scratch, shape, delta);
        case 15: return min_plus_of_length<15>(values, scratch, shape, delta);
        case 17: return min_plus_of_length<17>(values, scratch, shape, delta);
        default: return min_plus_of_length<0>(values, scratch, shape, delta);
    }
}

/// Least and largest value over the labels (the padding left out).
void range(const float* values, LabelShape shape, float* least, float* largest) {
    Vector low[(2 * kMaximumRadius + 1) / kVectorFloats + 1], high[(2 * kMaximumRadius + 1) / kVectorFloats + 1];
    const int blocks = shape.padded / kVectorFloats;
    for (int b = 0; b < blocks; ++b) low[b] = high[b] = load(values + b * kVectorFloats);
    for (int row = 1; row < shape.rows(); ++row) {
        for (int b = 0; b < blocks; ++b) {
            const Vector v = load(values + static_cast<std::int64_t>(row) * shape.padded + b * kVectorFloats);
            low[b] = smaller(v, low[b]);
            high[b] = v < high[b] ? high[b] : v;
        }
    }
    *least = low[0][0];
    *largest = high[0][0];
    for (int x = 0; x < shape.length; ++x) {
        const float a = low[x / kVectorFloats][x % kVectorFloats], b = high[x / kVectorFloats][x % kVectorFloats];
        *least = a < *least ? a : *least;
        *largest = b > *largest ? b : *largest;
    }
}

void add_message(const float* __restrict message, LabelShape shape, bool accumulate, float* __restrict parent) {
    float least = 0, largest = 0;
    range(message, shape, &least, &largest);
    const std::int64_t count = shape.floats();
    if (accumulate) {
        for (std::int64_t x = 0; x < count; ++x) parent[x] += message[x] - least;
    } else {
        for (std::int64_t x = 0; x < count; ++x) parent[x] = message[x] - least;
    }
}

float store_belief(const float* values, LabelShape shape, std::uint16_t* out) {
    constexpr float kSteps = 65535.0f;
    float least = 0, largest = 0;
    range(values, shape, &least, &largest);
    const float span = largest - least;
    const float to_steps = span > 0 ? kSteps / span : 0;
    const Vector most = broadcast(kSteps), none = broadcast(0);
    const auto steps = [&](const float* p) {
        const Vector exact = (load(p) - least) * to_steps + 0.5f;
        return smaller(exact < none ? none : exact, most);
    };
    // Whole vectors reach into the rows that are written after them; the last rows are written exactly.
    int last_rows = (shape.padded + shape.length - 1) / shape.length;
    for (int row = last_rows; row < shape.rows(); ++row, values += shape.padded, out += shape.length) {
        for (int x = 0; x < shape.padded; x += kVectorFloats) store_steps(out + x, steps(values + x));
    }
    for (; last_rows > 0; --last_rows, values += shape.padded, out += shape.length) {
        for (int x = 0; x < shape.padded; x += kVectorFloats) {
            const Vector exact = steps(values + x);
            for (int lane = 0; lane < kVectorFloats && x + lane < shape.length; ++lane) {
                out[x + lane] = static_cast<std::uint16_t>(static_cast<std::int32_t>(exact[lane]));
            }
        }
    }
    return span / kSteps;
}

std::int64_t best_label(const std::uint16_t* stored, float step, const float* cost_i, const float* cost_j,
                        const float* cost_k, LabelShape shape) {
    const int length = shape.length;
    const auto least_of = [length](const float* cost) {
        int least = 0;
        for (int l = 1; l < length; ++l) least = cost[l] < cost[least] ? l : least;
        return least;
    };
    const float least_i = cost_i[least_of(cost_i)];
    float least = 3.0e38f;
    std::int64_t best = 0;
    const auto look_at_row = [&](int k, int j) {
        const float offset = cost_j[j] + cost_k[k];
        if (least_i + offset > least) return;
        const int row = k * length + j;
        const auto value = [&](int x) {
            return (load_steps(stored + row * length + x) * step + load(cost_i + x)) + offset;
        };
        Vector lanes = value(0);
        for (int x = kVectorFloats; x < shape.padded; x += kVectorFloats) lanes = smaller(value(x), lanes);
        float here = lanes[0];
        for (int lane = 1; lane < kVectorFloats; ++lane) here = smaller(lanes[lane], here);
        const std::int64_t first = static_cast<std::int64_t>(row) * length;
        if (here > least || (here == least && first > best)) return;
        least = here;
        for (int x = 0; x < shape.padded; x += kVectorFloats) {
            const Vector v = value(x);
            for (int lane = 0; lane < kVectorFloats; ++lane) {
                if (v[lane] > least) continue;
                best = first + x + lane;
                return;
            }
        }
    };
    // Stored values are not below zero, so what the nearest row has ends the search of most others before it begins.
    look_at_row(least_of(cost_k), least_of(cost_j));
    for (int k = 0; k < length; ++k) {
        for (int j = 0; j < length; ++j) look_at_row(k, j);
    }
    return best;
}

template <class Words>
Kernels table(const char* name) {
    return {name,         hamming_sums<Words>, transpose_sums, squared_difference, sum_rows,    sum_along,
            quantise,     absolute_difference, warp_row,       belief,             min_plus,    add_message,
            store_belief, best_label};
}
