// What:          the value of an image between its voxels.
// Source:        this project.
// Complexity:    constant.
// Thread safety: pure functions.
#include "sampling.hpp"

#include <algorithm>
#include <cstdint>

namespace deeds {
namespace {

bool inside(double voxel, std::int64_t size) { return voxel >= -0.5 && voxel <= static_cast<double>(size) - 0.5; }

/// The nearest coordinate of a sample; zero for what is not a number.
double clamped(double voxel, std::int64_t size) {
    if (!(voxel > 0)) return 0;
    return std::min(voxel, static_cast<double>(size - 1));
}

struct Cell {
    std::int64_t low;
    std::int64_t high;
    float weight;  ///< of high
};

Cell cell_of(double voxel, std::int64_t size) {
    const double position = clamped(voxel, size);
    const auto low = static_cast<std::int64_t>(position);
    return {low, std::min(low + 1, size - 1), static_cast<float>(position - static_cast<double>(low))};
}

float mixed(float low, float high, float weight) { return low + weight * (high - low); }

float linear_sample(const Grid3<float>& grid, Point3 voxel) {
    const Cell x = cell_of(voxel.x, grid.size.x), y = cell_of(voxel.y, grid.size.y), z = cell_of(voxel.z, grid.size.z);
    const auto row = [&](std::int64_t j, std::int64_t k) { return mixed(grid.at(x.low, j, k), grid.at(x.high, j, k), x.weight); };
    return mixed(mixed(row(y.low, z.low), row(y.high, z.low), y.weight),
                 mixed(row(y.low, z.high), row(y.high, z.high), y.weight), z.weight);
}

float nearest_sample(const Grid3<float>& grid, Point3 voxel) {
    const auto nearest = [](double position, std::int64_t size) { return static_cast<std::int64_t>(clamped(position, size) + 0.5); };
    return grid.at(nearest(voxel.x, grid.size.x), nearest(voxel.y, grid.size.y), nearest(voxel.z, grid.size.z));
}

}  // namespace

bool inside(Point3 voxel, Size3 size) { return inside(voxel.x, size.x) && inside(voxel.y, size.y) && inside(voxel.z, size.z); }

float sample(const Grid3<float>& voxels, Point3 voxel, Interpolation interpolation, std::optional<float> outside) {
    if (outside && !inside(voxel, voxels.size)) return *outside;
    return interpolation == Interpolation::linear ? linear_sample(voxels, voxel) : nearest_sample(voxels, voxel);
}

}  // namespace deeds
