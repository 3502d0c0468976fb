// What:          the inverse of a displacement field, on its own grid.
// Source:        Chen et al., "A simple fixed-point approach to invert a deformation field", Medical Physics 2008.
// Complexity:    linear in the places, times their steps: six in the mean of a field that hardly folds.
// Thread safety: slices are shared out to threads; each place is found by itself, so the bits do not depend on them.
#pragma once

#include <array>
#include <cstdint>

#include "geometry.hpp"
#include "volume3.hpp"

namespace deeds {

/// Bytes that an inverse takes for every place: the field, which becomes the inverse, and its copy of four numbers a place.
constexpr std::int64_t bytes_of_inverted_place = (3 + 4) * sizeof(float);

/// Displacements along i, j, k, in voxels unless another unit is said.
using VoxelShift = std::array<Grid3<float>, 3>;

struct InversionSettings {
    double tolerance_mm = 0.001;  ///< u(y + v(y)) + v(y) may be so long
    int largest_steps = 100;      ///< of one place; whole ones first, half ones where the field stretches much
    int threads = 1;
};

struct FieldInverse {
    VoxelShift shift;             ///< v, where the way there and back ends nearest to its beginning
    std::int64_t unreached = 0;   ///< places that are farther off than the tolerance, as where the field folds
    double largest_mm = 0;        ///< how far off the worst place is
};

/// v with u(y + v(y)) = -v(y) at every place y. u is trilinear between its places, as at the border up to half a voxel
/// beyond it, and zero farther out: as ITK takes a field.
FieldInverse inverse_of(VoxelShift shift, const Geometry& grid, const InversionSettings& settings);

/// The same of displacements in mm with LPS components, and so is its `shift`.
FieldInverse inverse_of_lps(VoxelShift field_mm, const Geometry& grid, const InversionSettings& settings);

}  // namespace deeds
