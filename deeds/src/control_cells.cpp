// What:          see control_cells.hpp.
// Source:        see control_cells.hpp.
// Complexity:    see control_cells.hpp.
// Thread safety: see control_cells.hpp.
#include "control_cells.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "geometry.hpp"

namespace deeds {
namespace {

constexpr std::int64_t kLeastControlPoints = 2;  // slopes are differences

}  // namespace

ControlCells::ControlCells(Size3 voxels, int step)
    : voxels_(voxels), control_{voxels.x / step, voxels.y / step, voxels.z / step}, step_(step) {
    const Size3 filled{control_.x * step, control_.y * step, control_.z * step};
    if (filled != voxels || std::min({control_.x, control_.y, control_.z}) < kLeastControlPoints)
        throw std::invalid_argument("has " + text_of(voxels) + " voxels, multiples of " + std::to_string(step) + " from " +
                                    std::to_string(kLeastControlPoints * step) + " on are expected");
}

double ControlCells::offset(std::int64_t voxel) const {
    return (static_cast<double>(voxel) + 0.5) / static_cast<double>(step_) - 0.5;
}

ControlCells::Position ControlCells::position(std::int64_t voxel, std::int64_t control) const {
    const std::int64_t cell = voxel / step_;
    const double from_middle = offset(voxel - cell * step_);
    const std::int64_t towards = std::clamp<std::int64_t>(from_middle < 0 ? cell - 1 : cell + 1, 0, control - 1);
    return {cell, towards, static_cast<float>(std::fabs(from_middle))};
}

void ControlCells::row(const Grid3<float>& values, std::int64_t y, std::int64_t z, float* __restrict scratch, float* __restrict out) const {
    const Position py = position(y, control_.y), pz = position(z, control_.z);
    const float *a = &values.at(0, py.here, pz.here), *b = &values.at(0, py.towards, pz.here);
    const float *c = &values.at(0, py.here, pz.towards), *d = &values.at(0, py.towards, pz.towards);
    for (std::int64_t x = 0; x < control_.x; ++x) {
        const float near = a[x] + py.share * (b[x] - a[x]);
        const float far = c[x] + py.share * (d[x] - c[x]);
        scratch[x] = near + pz.share * (far - near);
    }
    if (step_ == 2) {  // the usual one: both voxels between two control points at once
        const float share = static_cast<float>(std::fabs(offset(0)));
        out[0] = scratch[0];
        for (std::int64_t x = 0; x + 1 < control_.x; ++x) {
            out[2 * x + 1] = scratch[x] + share * (scratch[x + 1] - scratch[x]);
            out[2 * x + 2] = scratch[x + 1] + share * (scratch[x] - scratch[x + 1]);
        }
        out[2 * control_.x - 1] = scratch[control_.x - 1];
        return;
    }
    for (std::int64_t voxel = 0; voxel < step_; ++voxel) {
        const std::int64_t towards = offset(voxel) < 0 ? -1 : 1;
        const float share = static_cast<float>(std::fabs(offset(voxel)));
        const std::int64_t first = towards < 0 ? 1 : 0, last = control_.x - (towards > 0 ? 1 : 0);
        if (first == 1) out[voxel] = scratch[0];
        for (std::int64_t x = first; x < last; ++x)
            out[x * step_ + voxel] = scratch[x] + share * (scratch[x + towards] - scratch[x]);
        if (last < control_.x) out[last * step_ + voxel] = scratch[last];
    }
}

void ControlCells::cell_means(const float* summed_rows, float* __restrict out) const {
    const float share = static_cast<float>(1.0 / static_cast<double>(step_ * step_ * step_));
    if (step_ == 2) {
        for (std::int64_t x = 0; x < control_.x; ++x) out[x] = (0.0f + summed_rows[2 * x] + summed_rows[2 * x + 1]) * share;
        return;
    }
    for (std::int64_t x = 0; x < control_.x; ++x) {
        float sum = 0;
        for (std::int64_t voxel = 0; voxel < step_; ++voxel) sum += summed_rows[x * step_ + voxel];
        out[x] = sum * share;
    }
}

}  // namespace deeds
