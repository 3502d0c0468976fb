// What:          Gaussian means of a grid.
// Source:        this project.
// Complexity:    voxels times reach, along each axis; one grid of scratch memory.
// Thread safety: the pool divides slices and rows; the result does not depend on its threads.
#pragma once

#include <array>

#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

/// Means within a Gaussian that ends at 2.5 standard deviations; beyond the border its outermost samples go on.
/// deviations: along x, y, z in samples; 0 leaves an axis as it is.
Grid3<float> gaussian(Grid3<float> grid, const std::array<double, 3>& deviations, ThreadPool& pool);

}  // namespace deeds
