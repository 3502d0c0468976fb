// What:          the value of an image between its voxels, and a grid filled from another one.
// Source:        this project.
// Complexity:    constant for one value; linear in the voxels of a filled grid.
// Thread safety: pure functions; `threads` divides the slices of the output, results do not depend on it.
#pragma once

#include <cstdint>
#include <optional>

#include "geometry.hpp"
#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

enum class Interpolation { linear, nearest };

/// Whether a fractional voxel is at most half a voxel beyond the outermost centres.
bool inside(Point3 voxel, Size3 size);

/// Value at a fractional voxel. Up to half a voxel beyond the outermost centres the nearest voxel inside counts; farther out
/// `outside` does, or, without it, the nearest voxel inside as well.
float sample(const Grid3<float>& voxels, Point3 voxel, Interpolation interpolation, std::optional<float> outside);

/// Grid of `target` filled from `source` at target_to_source(i, j, k), a Point3.
template <class Map>
Grid3<float> filled_by(const Grid3<float>& source, Size3 target, Interpolation interpolation, std::optional<float> outside,
                       int threads, const Map& target_to_source) {
    Grid3<float> result(target);
    in_parallel(target.z, threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t k = first; k < last; ++k)
            for (std::int64_t j = 0; j < target.y; ++j)
                for (std::int64_t i = 0; i < target.x; ++i)
                    result.at(i, j, k) = sample(source, target_to_source(i, j, k), interpolation, outside);
    });
    return result;
}

}  // namespace deeds
