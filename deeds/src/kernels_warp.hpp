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
            const std::int64_t here = corner[t], behind = here + step_z[t];
            const std::int64_t at[4] = {here, here + step_y[t], behind, behind + step_y[t]};
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
