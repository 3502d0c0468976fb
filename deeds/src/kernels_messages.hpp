// What:          beliefs and messages of one node of the tree.
// Source:        Felzenszwalb & Huttenlocher's min-sum, by exact separable enumeration as in Heinrich et al., IEEE TMI 2013.
// Complexity:    linear in the labels, except min_plus: 3 length^4.
// Thread safety: functions of their arguments.
//
// A part of kernels_body.hpp, which says what may stand here.

void belief(const std::uint16_t* data, float scale, const float* received, float weight, LabelShape shape, float* out) {
    if (data == nullptr) {
        for (std::int64_t x = 0; x < shape.floats(); x += kVectorFloats) store(out + x, load(received + x) * weight);
        return;
    }
    // Whole vectors reach into the rows behind them, at the last rows into those of another node.
    const int whole_rows = shape.rows() - (shape.padded + shape.length - 1) / shape.length;
    for (int row = 0; row < shape.rows(); ++row, data += shape.length, out += shape.padded) {
        for (int x = 0; x < shape.padded; x += kVectorFloats) {
            const Vector steps = row < whole_rows ? load_steps(data + x) : load_first_steps(data + x, shape.length - x);
            Vector value = steps * scale;
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
