// What:          the one grid on which a pair is registered, and both images on it.
// Source:        smoothing before subsampling after Cardoso et al., MICCAI 2015.
// Complexity:    linear in the voxels of the grid.
// Thread safety: pure functions.
#include "pair_geometry.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "errors.hpp"
#include "nifti.hpp"
#include "sampling.hpp"
#include "thread_pool.hpp"

namespace deeds {
namespace {

Point3 centre_of(const Geometry& geometry) {
    const Point3 last = point_of(geometry.size.x - 1, geometry.size.y - 1, geometry.size.z - 1);
    return transformed(geometry.to_world, {last.x / 2, last.y / 2, last.z / 2});
}

/// A grid with its axes in the order right, front, up, and where its voxels are in the stored one.
struct Reordered {
    Geometry geometry;
    std::array<int, 3> stored_axis{};  ///< axis of the stored grid that runs along world axis 0, 1, 2
    std::array<bool, 3> flipped{};
};

Reordered reordered(const Geometry& stored) {
    const Point3 spacing = spacing_of(stored.to_world);
    const double lengths[3] = {spacing.x, spacing.y, spacing.z};
    const auto cosine = [&](std::size_t world, int axis) { return stored.to_world.m[world][axis] / lengths[axis]; };
    Reordered result;
    std::array<int, 3> order = {0, 1, 2};
    double best = -1;
    do {
        double agreement = 0;
        for (std::size_t world = 0; world < 3; ++world) agreement += std::fabs(cosine(world, order[world]));
        if (agreement > best + 1e-6) {  // a tie keeps the order nearest to the stored one
            best = agreement;
            result.stored_axis = order;
        }
    } while (std::next_permutation(order.begin(), order.end()));

    const std::int64_t sizes[3] = {stored.size.x, stored.size.y, stored.size.z};
    std::int64_t new_sizes[3];
    for (std::size_t row = 0; row < 3; ++row) result.geometry.to_world.m[row][3] = stored.to_world.m[row][3];
    for (std::size_t world = 0; world < 3; ++world) {
        const int axis = result.stored_axis[world];
        result.flipped[world] = cosine(world, axis) < 0;
        new_sizes[world] = sizes[axis];
        const double sign = result.flipped[world] ? -1 : 1;
        for (std::size_t row = 0; row < 3; ++row) {
            result.geometry.to_world.m[row][world] = sign * stored.to_world.m[row][axis];
            if (result.flipped[world])
                result.geometry.to_world.m[row][3] += static_cast<double>(sizes[axis] - 1) * stored.to_world.m[row][axis];
        }
    }
    result.geometry.size = {new_sizes[0], new_sizes[1], new_sizes[2]};
    return result;
}

/// Voxels in the new order; an exact copy.
Grid3<float> in_order(const Grid3<float>& stored, const Reordered& order) {
    const std::int64_t strides[3] = {1, stored.size.x, stored.size.x * stored.size.y};
    const std::int64_t sizes[3] = {order.geometry.size.x, order.geometry.size.y, order.geometry.size.z};
    std::int64_t step[3], start = 0;
    for (std::size_t world = 0; world < 3; ++world) {
        step[world] = strides[order.stored_axis[world]];
        if (order.flipped[world]) {
            start += step[world] * (sizes[world] - 1);
            step[world] = -step[world];
        }
    }
    Grid3<float> result(order.geometry.size);
    float* out = result.values.data();
    for (std::int64_t k = 0; k < sizes[2]; ++k)
        for (std::int64_t j = 0; j < sizes[1]; ++j)
            for (std::int64_t i = 0; i < sizes[0]; ++i)
                *out++ = stored.values[static_cast<std::size_t>(start + i * step[0] + j * step[1] + k * step[2])];
    return result;
}

/// Isotropic grid with the same axes and centre that covers the same box.
Geometry isotropic(const Geometry& geometry, double spacing_mm) {
    const Point3 spacing = spacing_of(geometry.to_world);
    const double lengths[3] = {spacing.x, spacing.y, spacing.z};
    const std::int64_t sizes[3] = {geometry.size.x, geometry.size.y, geometry.size.z};
    Geometry result;
    std::int64_t new_sizes[3];
    const Point3 centre = centre_of(geometry);
    const double centres[3] = {centre.x, centre.y, centre.z};
    for (int row = 0; row < 3; ++row) result.to_world.m[row][3] = centres[row];
    for (int axis = 0; axis < 3; ++axis) {
        const double wanted = std::round(static_cast<double>(sizes[axis]) * lengths[axis] / spacing_mm);
        if (wanted > 32767)
            throw OptionError("--spacing", std::to_string(spacing_mm) + " mm makes more than 32767 voxels of an axis");
        new_sizes[axis] = std::max<std::int64_t>(2, static_cast<std::int64_t>(wanted));
        for (int row = 0; row < 3; ++row) {
            const double direction = geometry.to_world.m[row][axis] / lengths[axis] * spacing_mm;
            result.to_world.m[row][axis] = direction;
            result.to_world.m[row][3] -= direction * static_cast<double>(new_sizes[axis] - 1) / 2;
        }
    }
    result.size = {new_sizes[0], new_sizes[1], new_sizes[2]};
    return result;
}

/// Whether any point of a coarse lattice over the grid lies inside the moving image.
bool overlap(const PairGeometry& geometry) {
    constexpr int points = 24;
    const AffineVox to_moving = composed(inverse(geometry.moving.to_world), geometry.moving_to_world);
    const Size3 size = geometry.registration.size;
    const auto at = [](int n, std::int64_t extent) { return static_cast<double>(extent - 1) * n / points; };
    for (int k = 0; k <= points; ++k)
        for (int j = 0; j <= points; ++j)
            for (int i = 0; i <= points; ++i)
                if (inside(transformed(to_moving, {at(i, size.x), at(j, size.y), at(k, size.z)}), geometry.moving.size)) return true;
    return false;
}

/// Gaussian along one axis, in place; the border value continues outside.
void smooth_along(Grid3<float>& grid, int axis, double sigma, int threads) {
    const auto radius = static_cast<std::int64_t>(std::ceil(3 * sigma));
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t n = -radius; n <= radius; ++n) {
        weights.push_back(std::exp(-0.5 * static_cast<double>(n * n) / (sigma * sigma)));
        sum += weights.back();
    }
    const std::int64_t sizes[3] = {grid.size.x, grid.size.y, grid.size.z};
    const std::int64_t strides[3] = {1, grid.size.x, grid.size.x * grid.size.y};
    const int first_other = axis == 0 ? 1 : 0, second_other = axis == 2 ? 1 : 2;
    const std::int64_t length = sizes[axis], stride = strides[axis];
    in_parallel(sizes[second_other], threads, [&](std::int64_t first, std::int64_t last) {
        std::vector<float> line(static_cast<std::size_t>(length));
        for (std::int64_t b = first; b < last; ++b)
            for (std::int64_t a = 0; a < sizes[first_other]; ++a) {
                float* start = grid.values.data() + a * strides[first_other] + b * strides[second_other];
                for (std::int64_t n = 0; n < length; ++n) line[static_cast<std::size_t>(n)] = start[n * stride];
                for (std::int64_t n = 0; n < length; ++n) {
                    double value = 0;
                    for (std::int64_t shift = -radius; shift <= radius; ++shift)
                        value += weights[static_cast<std::size_t>(shift + radius)] *
                                 static_cast<double>(line[static_cast<std::size_t>(std::clamp<std::int64_t>(n + shift, 0, length - 1))]);
                    start[n * stride] = static_cast<float>(value / sum);
                }
            }
    });
}

/// Image on another grid: smoothed along its axes as far as the new grid is coarser, then linear.
Grid3<float> on_grid(const Image& image, Size3 target, const AffineVox& target_to_world, std::optional<float> outside, int threads) {
    constexpr double width_of_sigma = 2.354820045;  // full width at half maximum
    const AffineVox to_source = composed(inverse(image.geometry.to_world), target_to_world);
    const Grid3<float>* source = &image.voxels;
    Grid3<float> smooth;
    for (int axis = 0; axis < 3; ++axis) {
        const double step = std::hypot(to_source.m[axis][0], to_source.m[axis][1], to_source.m[axis][2]);
        if (step <= 1.1) continue;
        if (source != &smooth) smooth = image.voxels;
        source = &smooth;
        smooth_along(smooth, axis, std::sqrt(step * step - 1) / width_of_sigma, threads);
    }
    return filled_by(*source, target, Interpolation::linear, outside, threads,
                     [&](std::int64_t i, std::int64_t j, std::int64_t k) { return transformed(to_source, point_of(i, j, k)); });
}

}  // namespace

PairGeometry pair_geometry(const Geometry& fixed, const Geometry& moving, const PrepareOptions& options) {
    const std::string sizes = "fixed image " + text_of(fixed.size) + " and moving image " + text_of(moving.size) + " differ in size";
    PairGeometry pair{fixed, moving, fixed, moving.to_world};
    if (options.as_stored) {
        if (fixed.size != moving.size) throw std::invalid_argument(sizes + ", --as-stored needs equal sizes");
        return pair;
    }
    const Geometry ordered_fixed = reordered(fixed).geometry;
    const bool common_grid = options.spacing_mm > 0 || options.resample;
    if (!common_grid && ordered_fixed.size != reordered(moving).geometry.size)
        throw std::invalid_argument(sizes + ": add --spacing MM (a common isotropic grid) or --resample (the grid of the fixed image)");
    pair.registration = options.spacing_mm > 0 ? isotropic(ordered_fixed, options.spacing_mm) : ordered_fixed;
    pair.moving_to_world = pair.registration.to_world;
    if (options.align_centres) {
        const Point3 from = centre_of(fixed), to = centre_of(moving);
        pair.moving_to_world.m[0][3] += to.x - from.x;
        pair.moving_to_world.m[1][3] += to.y - from.y;
        pair.moving_to_world.m[2][3] += to.z - from.z;
    }
    if (!overlap(pair))
        throw std::invalid_argument("fixed and moving image do not overlap in world coordinates: add --align-centres or --as-stored");
    return pair;
}

PreparedPair prepare_pair(const Image& fixed, const Image& moving, const PrepareOptions& options) {
    PreparedPair pair;
    pair.geometry = pair_geometry(fixed.geometry, moving.geometry, options);
    const Geometry& grid = pair.geometry.registration;
    const Geometry moving_grid{grid.size, pair.geometry.moving_to_world};
    if (options.as_stored) {
        pair.fixed = fixed.voxels;
        pair.moving = moving.voxels;
    } else {
        const Reordered fixed_order = reordered(fixed.geometry), moving_order = reordered(moving.geometry);
        pair.fixed = same_geometry(grid, fixed_order.geometry)
                         ? in_order(fixed.voxels, fixed_order)
                         : on_grid(fixed, grid.size, grid.to_world, std::nullopt, options.threads);
        pair.moving = same_geometry(moving_grid, moving_order.geometry)
                          ? in_order(moving.voxels, moving_order)
                          : on_grid(moving, grid.size, moving_grid.to_world, static_cast<float>(options.background), options.threads);
    }
    if (options.intensity_offset != 0)
        for (Grid3<float>* voxels : {&pair.fixed, &pair.moving})
            for (float& value : voxels->values) value += static_cast<float>(options.intensity_offset);
    return pair;
}

}  // namespace deeds
