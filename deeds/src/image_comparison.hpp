// What:          what two images say of a displacement field round every control point.
// Source:        see descent.hpp.
// Complexity:    linear in the voxels, for every comparison.
// Thread safety: one call at a time on an object; the pool divides slices of control points.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "control_cells.hpp"
#include "descent.hpp"
#include "thread_pool.hpp"

namespace deeds {

/// The normal equations of one step: entries xx, xy, xz, yy, yz, zz of every matrix, and the right side.
struct NormalEquations {
    std::array<Grid3<float>, 6> matrix;  ///< without stiffness
    std::array<Grid3<float>, 3> right;
};

/// Two images for the steps of one pass.
class ImageComparison {
  public:
    ImageComparison(const Image& fixed, const Image& moving, const std::optional<Grid3<float>>& wanted, const DescentPass& pass,
                    const DescentSettings& settings, ThreadPool& pool);

    NormalEquations equations(const ShiftField& shift);
    Grid3<float> agreement(const ShiftField& shift);

  private:
    /// Gaussian means of the moving image, its squares and the products with the fixed one, as `moved_` and `inside_` are set.
    std::array<Grid3<float>, 3> look_through(const ShiftField& shift);
    /// Gaussian means of the cells of grids that are made row by row: rows(y, z, accumulate, out) writes one row of every
    /// grid, or adds it to what is there, or returns false where all of them are zero.
    template <std::size_t count, class Rows>
    std::array<Grid3<float>, count> means(const std::array<double, 3>& window, const Rows& rows);

    ControlCells cells_;
    ThreadPool& pool_;
    float noise_;                            ///< squared
    std::array<double, 3> window_, contrast_;  ///< standard deviations in control points
    std::array<float, 3> slope_;             ///< half of one over the spacing, 1/mm
    Grid3<float> fixed_, moving_;
    AffineVox from_fixed_;  ///< voxels of the fixed grid to those of the moving one
    double from_shift_[3][3];
    std::vector<float> wanted_;         ///< 1 or 0 of every voxel along x, for rows of control points
    Grid3<float> fixed_mean_, fixed_squares_;
    Grid3<float> moved_;                ///< the moving image seen through the field; the fixed one where it is not wanted
    Grid3<float> inside_;               ///< 1 where it is wanted and the moving image reaches, otherwise 0
};

}  // namespace deeds
