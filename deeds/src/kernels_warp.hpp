// What:          trilinear interpolation of one row.
// Source:        this project.
// Complexity:    linear in the samples.
// Thread safety: functions of their arguments.
//
// A part of kernels_body.hpp, which says what may stand here.

void warp_row(const WarpRow& row) {
    constexpr std::int64_t kChunk = 64;
    const float* __restrict image = row.image;
    const float last_x = static_cast<float>(row.size_x - 1);
    const float last_y = static_cast<float>(row.size_y - 1);
    const float last_z = static_cast<float>(row.size_z - 1);
    const std::int64_t stride_y = row.size_x, stride_z = row.size_x * row.size_y;
    std::int64_t corner[kChunk], step_x[kChunk], step_y[kChunk], step_z[kChunk];
    float fx[kChunk] = {}, fy[kChunk] = {}, fz[kChunk] = {}, corners[8][kChunk] = {}, value[kChunk];
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
            step_x[t] = x < last_x ? 1 : 0;
            step_y[t] = y < last_y ? stride_y : 0;
            step_z[t] = z < last_z ? stride_z : 0;
        }
        for (std::int64_t t = 0; t < n; ++t) {
            const float* p = image + corner[t];
            const float* q = p + step_z[t];
            const std::int64_t sx = step_x[t], sy = step_y[t];
            corners[0][t] = p[0];
            corners[1][t] = p[sx];
            corners[2][t] = p[sy];
            corners[3][t] = p[sy + sx];
            corners[4][t] = q[0];
            corners[5][t] = q[sx];
            corners[6][t] = q[sy];
            corners[7][t] = q[sy + sx];
        }
        // What is behind n is not kept; whole chunks are single vector loops.
        for (std::int64_t t = 0; t < kChunk; ++t) {
            const float a = corners[0][t] + fx[t] * (corners[1][t] - corners[0][t]);
            const float b = corners[2][t] + fx[t] * (corners[3][t] - corners[2][t]);
            const float c = corners[4][t] + fx[t] * (corners[5][t] - corners[4][t]);
            const float d = corners[6][t] + fx[t] * (corners[7][t] - corners[6][t]);
            const float e = a + fy[t] * (b - a);
            const float f = c + fy[t] * (d - c);
            value[t] = e + fz[t] * (f - e);
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
