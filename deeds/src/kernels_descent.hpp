// What:          Gaussian sums of rows, and the rows of normal equations.
// Source:        this project.
// Complexity:    linear in the samples, times the reach of a Gaussian.
// Thread safety: functions of their arguments.
//
// A part of kernels_body.hpp, which says what may stand here.

/// The sums of `vectors` vectors from x on.
template <int vectors>
inline void weigh_vectors(const float* weights, int reach, const float* const* rows, std::int64_t x, float* out) {
    Vector sum[vectors];
    for (int n = 0; n < vectors; ++n) sum[n] = weights[0] * load(rows[reach] + x + n * kVectorFloats);
    for (int k = 1; k <= reach; ++k) {
        const float *before = rows[reach - k] + x, *behind = rows[reach + k] + x;
        for (int n = 0; n < vectors; ++n) sum[n] += weights[k] * (load(before + n * kVectorFloats) + load(behind + n * kVectorFloats));
    }
    for (int n = 0; n < vectors; ++n) store(out + x + n * kVectorFloats, sum[n]);
}

void weigh_rows(const float* weights, int reach, const float* const* rows, std::int64_t count, float* out) {
    constexpr int kMany = 4;
    std::int64_t x = 0;
    for (; x + kMany * kVectorFloats <= count; x += kMany * kVectorFloats) weigh_vectors<kMany>(weights, reach, rows, x, out);
    for (; x + kVectorFloats <= count; x += kVectorFloats) weigh_vectors<1>(weights, reach, rows, x, out);
    if (x == count) return;
    if (count >= kVectorFloats) {  // some sums are made twice
        weigh_vectors<1>(weights, reach, rows, count - kVectorFloats, out);
        return;
    }
    for (; x < count; ++x) {
        float sum = weights[0] * rows[reach][x];
        for (int k = 1; k <= reach; ++k) sum += weights[k] * (rows[reach - k][x] + rows[reach + k][x]);
        out[x] = sum;
    }
}

inline void put_product(const float* __restrict a, const float* __restrict b, const float* __restrict c, std::int64_t count,
                        bool accumulate, float* __restrict out) {
    if (accumulate) {
        for (std::int64_t x = 0; x < count; ++x) out[x] += a[x] * b[x] * c[x];
    } else {
        for (std::int64_t x = 0; x < count; ++x) out[x] = a[x] * b[x] * c[x];
    }
}

void normal_rows(const NormalRows& rows, bool accumulate, float* const out[kNormalSums]) {
    int n = 0;
    for (int row = 0; row < 3; ++row)
        for (int column = row; column < 3; ++column)
            put_product(rows.weight, rows.slope[row], rows.slope[column], rows.count, accumulate, out[n++]);
    for (int row = 0; row < 3; ++row) put_product(rows.weight, rows.slope[row], rows.difference, rows.count, accumulate, out[n++]);
}
