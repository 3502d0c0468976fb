// What:          see descent.hpp.
// Source:        see descent.hpp.
// Complexity:    see descent.hpp.
// Thread safety: see descent.hpp.
#include "descent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "gaussian.hpp"
#include "image_comparison.hpp"
#include "thread_pool.hpp"

namespace deeds {
namespace {

constexpr int kHalvings = 3;         // of a step that folds; then the field stays as it is
constexpr int kMeans = 3;            // what one Gaussian mean leaves of a bend, the next ones of the rest give back
constexpr double kThirdOfTurn = 2.0943951023931953;

std::array<double, 3> control_spacing(const Geometry& fixed, int step) {
    const Point3 spacing = spacing_of(fixed.to_world);
    return {spacing.x * step, spacing.y * step, spacing.z * step};
}

/// The stiffened matrices' solutions, nowhere longer than `longest`.
ShiftField limited_solution(const NormalEquations& seen, float stiffness, float longest, ThreadPool& pool) {
    ShiftField step;
    for (auto& part : step) part = Grid3<float>(seen.right[0].size);
    const Size3 size = seen.right[0].size;
    pool.run(size.z, [&](std::int64_t z) {
        const std::size_t first = step[0].index(0, 0, z), last = first + static_cast<std::size_t>(size.x * size.y);
        for (std::size_t n = first; n < last; ++n) {
            const float xx = seen.matrix[0].values[n] + stiffness, xy = seen.matrix[1].values[n], xz = seen.matrix[2].values[n];
            const float yy = seen.matrix[3].values[n] + stiffness, yz = seen.matrix[4].values[n];
            const float zz = seen.matrix[5].values[n] + stiffness;
            const float b[3] = {seen.right[0].values[n], seen.right[1].values[n], seen.right[2].values[n]};
            const float a00 = yy * zz - yz * yz, a01 = xz * yz - xy * zz, a02 = xy * yz - xz * yy;
            const float a11 = xx * zz - xz * xz, a12 = xy * xz - xx * yz, a22 = xx * yy - xy * xy;
            const float determinant = xx * a00 + xy * a01 + xz * a02;
            const float x = (a00 * b[0] + a01 * b[1] + a02 * b[2]) / determinant;
            const float y = (a01 * b[0] + a11 * b[1] + a12 * b[2]) / determinant;
            const float w = (a02 * b[0] + a12 * b[1] + a22 * b[2]) / determinant;
            const float share = longest / std::max(std::sqrt(x * x + y * y + w * w), longest);
            step[0].values[n] = x * share;
            step[1].values[n] = y * share;
            step[2].values[n] = w * share;
        }
    });
    return step;
}

/// What three Gaussian means, each of what those before it left, do not hold of a field.
ShiftField roughness_of(ShiftField shift, const std::array<double, 3>& deviations, ThreadPool& pool) {
    for (auto& part : shift)
        for (int n = 0; n < kMeans; ++n) {
            const Grid3<float> mean = gaussian(part, deviations, pool);
            for (std::size_t at = 0; at < part.values.size(); ++at) part.values[at] -= mean.values[at];
        }
    return shift;
}

ShiftField sum_of(ShiftField shift, const ShiftField& step, float share) {
    for (std::size_t axis = 0; axis < 3; ++axis)
        for (std::size_t n = 0; n < shift[axis].values.size(); ++n) shift[axis].values[n] += share * step[axis].values[n];
    return shift;
}

/// A step that also takes the roughness out of the field, save at walls.
ShiftField evened_step(const ShiftField& shift, ShiftField step, const std::array<double, 3>& deviations, float wall_mm, ThreadPool& pool) {
    const ShiftField rough = roughness_of(sum_of(shift, step, 1), deviations, pool);
    for (std::size_t n = 0; n < step[0].values.size(); ++n) {
        const float x = rough[0].values[n], y = rough[1].values[n], z = rough[2].values[n];
        const float share = 1 / (1 + (x * x + y * y + z * z) / (wall_mm * wall_mm));
        for (std::size_t axis = 0; axis < 3; ++axis) step[axis].values[n] -= share * rough[axis].values[n];
    }
    return step;
}

/// The field after a step, or after a part of it that folds nothing.
ShiftField without_folds(const ShiftField& shift, const ShiftField& step, const std::array<double, 3>& spacing_mm) {
    float share = 1;
    for (int attempt = 0; attempt <= kHalvings; ++attempt, share /= 2) {
        ShiftField moved = sum_of(shift, step, share);
        if (smallest_jacobian(moved, spacing_mm) > 0) return moved;
    }
    return shift;
}

Grid3<float> holds(const NormalEquations& seen, double stiffness) {
    Grid3<float> found(seen.right[0].size);
    for (std::size_t n = 0; n < found.values.size(); ++n) {
        std::array<double, 6> entries;
        for (std::size_t entry = 0; entry < 6; ++entry)
            entries[entry] = static_cast<double>(seen.matrix[entry].values[n]) + (entry == 0 || entry == 3 || entry == 5 ? stiffness : 0.0);
        found.values[n] = static_cast<float>(std::sqrt(std::max(smallest_eigenvalue(entries), 0.0)));
    }
    return found;
}

Grid3<float> lengths(const ShiftField& step) {
    Grid3<float> found(step[0].size);
    for (std::size_t n = 0; n < found.values.size(); ++n) {
        const float x = step[0].values[n], y = step[1].values[n], z = step[2].values[n];
        found.values[n] = std::sqrt(x * x + y * y + z * z);
    }
    return found;
}

}  // namespace

Geometry control_geometry(const Geometry& fixed, int control_step) {
    Geometry control{ControlCells(fixed.size, control_step).control(), fixed.to_world};
    const double middle = (control_step - 1) / 2.0;
    for (auto& row : control.to_world.m) {
        row[3] += middle * (row[0] + row[1] + row[2]);
        for (int axis = 0; axis < 3; ++axis) row[axis] *= control_step;
    }
    return control;
}

std::int64_t memory_need_descent(Size3 fixed, Size3 moving, bool is_everywhere, const DescentSettings& settings) {
    // The first pass is kept beside the one in work. Each has three grids of the fixed image, rows of what is wanted, the
    // smoothed moving image, and at control points the fixed one's moments; beside both images and their middle. Control points
    // hold the field, the equations and what leads there, from the second step on also the equations and the step before.
    const std::int64_t passes = settings.passes.size() > 1 ? 2 : 1, step = settings.control_step, voxels = fixed.count();
    const bool has_second_step = passes > 1 || settings.passes.front().steps > 1;
    const std::int64_t numbers_of_control = 20 + 2 * passes + (has_second_step ? 12 : 0) + (is_everywhere ? 0 : 1);
    const std::int64_t numbers = (2 + 3 * passes) * voxels + passes * voxels / (step * step) + (1 + passes) * moving.count() +
                                 numbers_of_control * voxels / (step * step * step);
    return numbers * static_cast<std::int64_t>(sizeof(float));
}

DescentResult descend(const Image& fixed, const Image& moving, const std::optional<Grid3<float>>& wanted, ShiftField start,
                      const DescentSettings& settings) {
    if (settings.passes.empty()) throw std::invalid_argument("a descent needs a pass");
    ThreadPool pool(settings.threads);
    const std::array<double, 3> spacing_mm = control_spacing(fixed.geometry, settings.control_step);
    DescentResult found;
    const auto deviations = [&spacing_mm](double mm) {
        return std::array<double, 3>{mm / spacing_mm[0], mm / spacing_mm[1], mm / spacing_mm[2]};
    };
    found.shift = std::move(start);
    for (auto& part : found.shift) {
        if (part.size != control_geometry(fixed.geometry, settings.control_step).size)
            throw std::invalid_argument("sizes of field and control points differ");
        part = gaussian(std::move(part), deviations(settings.start_smooth_mm), pool);
    }
    NormalEquations seen;
    ShiftField step;
    ImageComparison first(fixed, moving, wanted, settings.passes.front(), settings, pool);
    for (const DescentPass& pass : settings.passes) {
        std::optional<ImageComparison> next;
        ImageComparison& images = &pass == &settings.passes.front() ? first : next.emplace(fixed, moving, wanted, pass, settings, pool);
        for (int n = 0; n < pass.steps; ++n) {
            seen = images.equations(found.shift);
            step = limited_solution(seen, static_cast<float>(settings.stiffness), static_cast<float>(settings.largest_step_mm), pool);
            const ShiftField way = settings.rough_window_mm > 0 ? evened_step(found.shift, step, deviations(settings.rough_window_mm),
                                                                              static_cast<float>(settings.wall_mm), pool)
                                                                : step;
            found.shift = without_folds(found.shift, way, spacing_mm);
        }
    }
    found.hold = holds(seen, settings.stiffness);
    found.last_step = lengths(step);
    // Smoothed as for the first pass, against noise.
    found.agreement = first.agreement(found.shift);
    return found;
}

float smallest_jacobian(const ShiftField& shift, const std::array<double, 3>& spacing_mm) {
    const Size3 size = shift[0].size;
    const std::int64_t count[3] = {size.x, size.y, size.z}, stride[3] = {1, size.x, size.x * size.y};
    struct Neighbours {
        std::int64_t before, behind;  // how far they lie from the value
        float share;                  // 1 over their distance in mm
    };
    const auto neighbours = [&](std::size_t axis, std::int64_t place) {
        const std::int64_t back = place > 0 ? 1 : 0, ahead = place + 1 < count[axis] ? 1 : 0;
        return Neighbours{-back * stride[axis], ahead * stride[axis],
                          static_cast<float>(1 / (spacing_mm[axis] * static_cast<double>(back + ahead)))};
    };
    const Neighbours inner = neighbours(0, 1);
    float smallest = std::numeric_limits<float>::infinity();
    for (std::int64_t z = 0; z < size.z; ++z)
        for (std::int64_t y = 0; y < size.y; ++y) {
            Neighbours along[3] = {inner, neighbours(1, y), neighbours(2, z)};
            for (std::int64_t x = 0; x < size.x; ++x) {
                along[0] = x == 0 || x + 1 == size.x ? neighbours(0, x) : inner;
                const std::size_t n = shift[0].index(x, y, z);
                float slope[3][3];
                for (std::size_t part = 0; part < 3; ++part) {
                    const float* values = shift[part].values.data() + n;
                    for (std::size_t axis = 0; axis < 3; ++axis)
                        slope[part][axis] = (values[along[axis].behind] - values[along[axis].before]) * along[axis].share;
                }
                const float xx = slope[0][0] + 1, yy = slope[1][1] + 1, zz = slope[2][2] + 1;
                const float determinant = xx * (yy * zz - slope[1][2] * slope[2][1]) - slope[0][1] * (slope[1][0] * zz - slope[1][2] * slope[2][0]) +
                                          slope[0][2] * (slope[1][0] * slope[2][1] - yy * slope[2][0]);
                // What is no number is no volume either: std::min would keep the smallest one before it.
                smallest = determinant < smallest ? determinant : std::isnan(determinant) ? -std::numeric_limits<float>::infinity() : smallest;
            }
        }
    return smallest;
}

double smallest_eigenvalue(const std::array<double, 6>& entries) {
    // By the cosine of a third of an angle.
    const double mean = (entries[0] + entries[3] + entries[5]) / 3;
    const double xx = entries[0] - mean, xy = entries[1], xz = entries[2], yy = entries[3] - mean, yz = entries[4], zz = entries[5] - mean;
    const double size = std::sqrt((xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)) / 6);
    const double determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz);
    const double cosine = determinant / std::max(2 * size * size * size, std::numeric_limits<double>::min());
    return mean + 2 * size * std::cos(std::acos(std::clamp(cosine, -1.0, 1.0)) / 3 + kThirdOfTurn);
}

}  // namespace deeds
