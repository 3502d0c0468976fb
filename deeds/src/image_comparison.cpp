// What:          see image_comparison.hpp.
// Source:        see image_comparison.hpp.
// Complexity:    see image_comparison.hpp.
// Thread safety: see image_comparison.hpp.
#include "image_comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "gaussian.hpp"
#include "kernels.hpp"

namespace deeds {
namespace {

constexpr float kSmallestGain = 0.5f, kLargestGain = 2.0f;  // of the local contrast of one image over that of the other
constexpr float kOutlierScales = 2.0f;       // a voxel that differs by so many standard deviations has a quarter of its weight left
constexpr float kSmallestVariance = 1e-3f;   // below which an image is uniform

std::array<double, 3> spacing_along(const AffineVox& to_world) {
    const Point3 spacing = spacing_of(to_world);
    return {spacing.x, spacing.y, spacing.z};
}

Grid3<float> smoothed(const Image& image, double deviation_mm, ThreadPool& pool) {
    if (deviation_mm == 0) return image.voxels;
    std::array<double, 3> deviations = spacing_along(image.geometry.to_world);
    for (double& deviation : deviations) deviation = deviation_mm / deviation;
    return gaussian(image.voxels, deviations, pool);
}

std::array<double, 3> in_control_points(double deviation_mm, const Geometry& fixed, int step) {
    std::array<double, 3> deviations = spacing_along(fixed.to_world);
    for (double& deviation : deviations) deviation = deviation_mm / (deviation * step);
    return deviations;
}

void put(float value, bool accumulate, float& sum) { sum = accumulate ? sum + value : value; }

}  // namespace

ImageComparison::ImageComparison(const Image& fixed, const Image& moving, const std::optional<Grid3<float>>& wanted,
                                 const DescentPass& pass, const DescentSettings& settings, ThreadPool& pool)
    : cells_(fixed.geometry.size, settings.control_step),
      pool_(pool),
      noise_(static_cast<float>(settings.noise * settings.noise)),
      window_(in_control_points(pass.window_mm, fixed.geometry, settings.control_step)),
      contrast_(in_control_points(settings.contrast_mm, fixed.geometry, settings.control_step)),
      fixed_(smoothed(fixed, pass.smooth_mm, pool)),
      moving_(smoothed(moving, pass.smooth_mm, pool)),
      from_fixed_(composed(inverse(moving.geometry.to_world), fixed.geometry.to_world)),
      wanted_(static_cast<std::size_t>(fixed_.size.x * cells_.control().y * cells_.control().z), 1.0f),
      moved_(fixed_.size),
      inside_(fixed_.size) {
    const std::array<double, 3> spacing = spacing_along(fixed.geometry.to_world);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        slope_[axis] = static_cast<float>(1.0 / spacing[axis]);
        for (std::size_t row = 0; row < 3; ++row) from_shift_[row][axis] = from_fixed_.m[row][axis] / spacing[axis];
    }
    if (wanted) {
        if (wanted->size != cells_.control()) throw std::invalid_argument("sizes of mask and control points differ");
        const auto step = static_cast<std::size_t>(cells_.step());
        for (std::size_t n = 0; n < wanted_.size(); ++n) wanted_[n] = wanted->values[n / step] > 0 ? 1.0f : 0.0f;
    }
    auto fixed_moments = means<2>(contrast_, [&](std::int64_t y, std::int64_t z, bool accumulate, float* const out[2]) {
        const float* row = &fixed_.at(0, y, z);
        for (std::int64_t x = 0; x < fixed_.size.x; ++x) {
            put(row[x], accumulate, out[0][x]);
            put(row[x] * row[x], accumulate, out[1][x]);
        }
        return true;
    });
    fixed_mean_ = std::move(fixed_moments[0]);
    fixed_squares_ = std::move(fixed_moments[1]);
}

template <std::size_t count, class Rows>
std::array<Grid3<float>, count> ImageComparison::means(const std::array<double, 3>& window, const Rows& rows) {
    std::array<Grid3<float>, count> found;
    for (auto& grid : found) grid = Grid3<float>(cells_.control());
    const auto length = static_cast<std::size_t>(cells_.voxels().x);
    pool_.run(cells_.control().z, [&](std::int64_t control_z) {
        std::vector<float> sums[count];
        float* out[count];
        for (std::size_t n = 0; n < count; ++n) {
            sums[n].resize(length);
            out[n] = sums[n].data();
        }
        for (std::int64_t control_y = 0; control_y < cells_.control().y; ++control_y) {
            bool is_empty = true;
            for (std::int64_t row = 0; row < cells_.step() * cells_.step(); ++row) {
                const std::int64_t y = control_y * cells_.step() + row % cells_.step(), z = control_z * cells_.step() + row / cells_.step();
                if (rows(y, z, !is_empty, out)) is_empty = false;
            }
            if (is_empty) continue;
            for (std::size_t n = 0; n < count; ++n) cells_.cell_means(sums[n].data(), &found[n].at(0, control_y, control_z));
        }
    });
    for (auto& grid : found) grid = gaussian(std::move(grid), window, pool_);
    return found;
}

std::array<Grid3<float>, 3> ImageComparison::look_through(const ShiftField& shift) {
    const Size3 size = cells_.voxels(), control = cells_.control(), there = moving_.size;
    std::array<Grid3<float>, 3> moves;  // the shift in voxels of the moving image
    for (std::size_t axis = 0; axis < 3; ++axis) {
        moves[axis] = Grid3<float>(control);
        const float x = static_cast<float>(from_shift_[axis][0]), y = static_cast<float>(from_shift_[axis][1]),
                    z = static_cast<float>(from_shift_[axis][2]);
        for (std::size_t n = 0; n < moves[axis].values.size(); ++n)
            moves[axis].values[n] = x * shift[0].values[n] + y * shift[1].values[n] + z * shift[2].values[n];
    }
    return means<3>(contrast_, [&](std::int64_t y, std::int64_t z, bool accumulate, float* const out[3]) {
        const auto length = static_cast<std::size_t>(size.x);
        const float* fixed = &fixed_.at(0, y, z);
        float *moved = &moved_.at(0, y, z), *inside = &inside_.at(0, y, z);
        std::copy_n(fixed, size.x, moved);
        std::fill_n(inside, size.x, 0.0f);
        const float* wanted = wanted_.data() + (z / cells_.step() * control.y + y / cells_.step()) * size.x;
        std::int64_t first = 0, last = size.x;
        while (first < last && wanted[first] == 0) ++first;
        while (last > first && wanted[last - 1] == 0) --last;
        if (first < last) {
            thread_local std::vector<float> places[3], scratch, seen;
            scratch.resize(static_cast<std::size_t>(control.x));
            seen.resize(length);
            for (std::size_t axis = 0; axis < 3; ++axis) {
                places[axis].resize(length);
                cells_.row(moves[axis], y, z, scratch.data(), places[axis].data());
                const auto& m = from_fixed_.m[axis];
                const float start = static_cast<float>(m[1] * static_cast<double>(y) + m[2] * static_cast<double>(z) + m[3]);
                const float slope = static_cast<float>(m[0]);
                float* place = places[axis].data();
                for (std::int64_t x = first; x < last; ++x) place[x] += start + slope * static_cast<float>(static_cast<std::int32_t>(x));
            }
            const float *px = places[0].data(), *py = places[1].data(), *pz = places[2].data();
            kernels().warp_row({moving_.values.data(), there.x, there.y, there.z, px + first, py + first, pz + first,
                                seen.data() + first, last - first, true, 0.0f});
            const float end_x = static_cast<float>(there.x - 1), end_y = static_cast<float>(there.y - 1),
                        end_z = static_cast<float>(there.z - 1);
            const float* seen_row = seen.data();
            for (std::int64_t x = first; x < last; ++x) {
                const float unmoved = moved[x], found = seen_row[x], is_wanted = wanted[x];
                const bool is_reached = (px[x] >= 0) & (px[x] <= end_x) & (py[x] >= 0) & (py[x] <= end_y) & (pz[x] >= 0) & (pz[x] <= end_z);
                moved[x] = is_wanted > 0 ? found : unmoved;
                inside[x] = is_reached ? is_wanted : 0.0f;
            }
        }
        for (std::int64_t x = 0; x < size.x; ++x) {
            put(moved[x], accumulate, out[0][x]);
            put(moved[x] * moved[x], accumulate, out[1][x]);
            put(fixed[x] * moved[x], accumulate, out[2][x]);
        }
        return true;
    });
}

NormalEquations ImageComparison::equations(const ShiftField& shift) {
    const std::array<Grid3<float>, 3> seen = look_through(shift);
    const Size3 size = cells_.voxels(), control = cells_.control();
    Grid3<float> gain(control), offset(control), precision(control);
    for (std::size_t n = 0; n < gain.values.size(); ++n) {
        const float mean = fixed_mean_.values[n], moved_mean = seen[0].values[n];
        const float fixed_variance = std::max(fixed_squares_.values[n] - mean * mean, 0.0f);
        const float variance = std::max(seen[1].values[n] - moved_mean * moved_mean, 0.0f);
        const float covariance = seen[2].values[n] - mean * moved_mean;
        const float g = std::clamp((covariance + noise_) / (variance + noise_), kSmallestGain, kLargestGain);
        gain.values[n] = g;
        offset.values[n] = mean - g * moved_mean;
        precision.values[n] = 1 / (std::max(fixed_variance - 2 * g * covariance + g * g * variance, 0.0f) + noise_);
    }
    // Both images' mean, the moving one brought to the local mean and contrast of the fixed one.
    Grid3<float> middle(size);
    pool_.run(size.z, [&](std::int64_t z) {
        std::vector<float> scratch(static_cast<std::size_t>(control.x)), gains(static_cast<std::size_t>(size.x)), offsets(gains.size());
        for (std::int64_t y = 0; y < size.y; ++y) {
            cells_.row(gain, y, z, scratch.data(), gains.data());
            cells_.row(offset, y, z, scratch.data(), offsets.data());
            const float *fixed = &fixed_.at(0, y, z), *moved = &moved_.at(0, y, z);
            float* out = &middle.at(0, y, z);
            for (std::int64_t x = 0; x < size.x; ++x) {
                const auto n = static_cast<std::size_t>(x);
                out[x] = (fixed[x] + (gains[n] * moved[x] + offsets[n])) / 2;
            }
        }
    });
    auto sums = means<9>(window_, [&](std::int64_t y, std::int64_t z, bool accumulate, float* const out[9]) {
        thread_local std::vector<float> scratch, precisions, slopes[3], weights, differences;
        scratch.resize(static_cast<std::size_t>(control.x));
        for (auto* values : {&precisions, &slopes[0], &slopes[1], &slopes[2], &weights, &differences}) values->resize(static_cast<std::size_t>(size.x));
        const float* inside = &inside_.at(0, y, z);
        if (std::all_of(inside, inside + size.x, [](float value) { return value == 0; })) return false;
        const float *fixed = &fixed_.at(0, y, z), *both = &middle.at(0, y, z);
        float *gx = slopes[0].data(), *gy = slopes[1].data(), *gz = slopes[2].data(), *weight = weights.data(), *p = precisions.data();
        const auto across = [&](std::int64_t at, std::int64_t count, const auto& row, float one_over_spacing, float* slope) {
            const std::int64_t low = std::max<std::int64_t>(at - 1, 0), high = std::min<std::int64_t>(at + 1, count - 1);
            const float *before = row(low), *behind = row(high), share = one_over_spacing / static_cast<float>(high - low);
            for (std::int64_t x = 0; x < size.x; ++x) slope[x] = (behind[x] - before[x]) * share;
        };
        for (std::int64_t x = 1; x + 1 < size.x; ++x) gx[x] = (both[x + 1] - both[x - 1]) * (slope_[0] / 2);
        gx[0] = (both[1] - both[0]) * slope_[0];
        gx[size.x - 1] = (both[size.x - 1] - both[size.x - 2]) * slope_[0];
        across(y, size.y, [&](std::int64_t at) { return &middle.at(0, at, z); }, slope_[1], gy);
        across(z, size.z, [&](std::int64_t at) { return &middle.at(0, y, at); }, slope_[2], gz);
        cells_.row(precision, y, z, scratch.data(), p);
        for (std::int64_t x = 0; x < size.x; ++x) {
            const float difference = differences[static_cast<std::size_t>(x)] = 2 * (fixed[x] - both[x]);
            const float doubt = 1 + p[x] * difference * difference / (kOutlierScales * kOutlierScales);
            weight[x] = p[x] * inside[x] / (doubt * doubt);
        }
        kernels().normal_rows({weight, {gx, gy, gz}, differences.data(), size.x}, accumulate, out);
        return true;
    });
    NormalEquations found;
    std::move(sums.begin(), sums.begin() + 6, found.matrix.begin());
    std::move(sums.begin() + 6, sums.end(), found.right.begin());
    return found;
}

Grid3<float> ImageComparison::agreement(const ShiftField& shift) {
    const std::array<Grid3<float>, 3> seen = look_through(shift);
    const Size3 control = cells_.control();
    const std::int64_t step = cells_.step();
    Grid3<float> found(control);
    pool_.run(control.z, [&](std::int64_t z) {
        for (std::int64_t y = 0; y < control.y; ++y)
            for (std::int64_t x = 0; x < control.x; ++x) {
                bool is_seen = true;
                for (std::int64_t row = 0; row < step * step; ++row) {
                    const float* inside = &inside_.at(x * step, y * step + row % step, z * step + row / step);
                    is_seen = is_seen && std::all_of(inside, inside + step, [](float value) { return value > 0; });
                }
                const std::size_t n = found.index(x, y, z);
                const float mean = fixed_mean_.values[n], moved_mean = seen[0].values[n];
                const float fixed_variance = std::max(fixed_squares_.values[n] - mean * mean, 0.0f);
                const float variance = std::max(seen[1].values[n] - moved_mean * moved_mean, 0.0f);
                const float covariance = seen[2].values[n] - mean * moved_mean;
                const bool is_textured = std::max(fixed_variance, variance) > noise_;
                found.values[n] = is_seen && is_textured ? covariance / std::sqrt(std::max(fixed_variance, kSmallestVariance) *
                                                                                   std::max(variance, kSmallestVariance))
                                                         : std::numeric_limits<float>::quiet_NaN();
            }
    });
    return found;
}

}  // namespace deeds
