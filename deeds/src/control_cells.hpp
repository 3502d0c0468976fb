// What:          cells of voxels round control points: their means, and values of control points at voxels.
// Source:        this project.
// Complexity:    linear in the voxels.
// Thread safety: constant objects may be shared; scratch memory belongs to the caller.
#pragma once

#include <vector>

#include "volume3.hpp"

namespace deeds {

/// A grid whose voxels fill the cells round its control points, `step` along each axis.
class ControlCells {
  public:
    /// Throws std::invalid_argument unless every size is a multiple of `step` with at least two control points.
    ControlCells(Size3 voxels, int step);

    Size3 voxels() const { return voxels_; }
    Size3 control() const { return control_; }
    std::int64_t step() const { return step_; }

    /// Values at a row of voxels, linear between control points and even beyond the outermost; scratch: control().x values.
    void row(const Grid3<float>& values, std::int64_t y, std::int64_t z, float* scratch, float* out) const;

    /// Means of the cells of a control row from the sum of its step * step rows of voxels.
    void cell_means(const float* summed_rows, float* out) const;

  private:
    struct Position {
        std::int64_t here, towards;
        float share;  ///< of the control point that the voxel lies towards
    };
    double offset(std::int64_t voxel) const;  ///< of a voxel of a cell from its middle, in cells
    Position position(std::int64_t voxel, std::int64_t control) const;

    Size3 voxels_, control_;
    std::int64_t step_;
};

}  // namespace deeds
