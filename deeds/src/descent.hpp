// What:          a displacement field below a voxel: Gauss-Newton steps on two images of one contrast.
// Source:        Lucas and Kanade, An iterative image registration technique (1981); the mean gradient as in Vercauteren et al.,
//                Diffeomorphic demons (NeuroImage 2009).
// Complexity:    linear in the voxels, for every step; about 64 bytes a voxel at two voxels between control points.
// Thread safety: every call owns its data and its threads; results do not depend on the number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "nifti.hpp"
#include "volume3.hpp"

namespace deeds {

/// Some steps with one window.
struct DescentPass {
    double smooth_mm;  ///< standard deviation of the Gaussian that both images are smoothed by
    double window_mm;  ///< standard deviation of the Gaussian window that decides on one control point
    int steps;
};

struct DescentSettings {
    int control_step = 2;             ///< voxels between control points
    std::vector<DescentPass> passes;  ///< at least one
    double contrast_mm = 6;           ///< Gaussian window within which mean and contrast are made alike
    double noise = 20;                ///< differences of intensity below this are noise
    double stiffness = 0.05;          ///< squared gradient over squared difference, 1/mm^2, at which a step goes half of its way
    double start_smooth_mm = 4;       ///< takes the whole steps out of the field of the search
    double largest_step_mm = 4;       ///< no step moves a place by more
    double rough_window_mm = 0;       ///< what a Gaussian mean of this deviation does not hold leaves the field with every step; 0 leaves it all
    double wall_mm = 0.4;             ///< what is much rougher is a wall along which tissue slides, and stays
    int threads = 1;
};

/// One grid a component, along the axes of the fixed grid, mm.
using ShiftField = std::array<Grid3<float>, 3>;

struct DescentResult {
    ShiftField shift;        ///< at the control points; it folds nothing that did not fold before
    Grid3<float> hold;       ///< root of the smallest eigenvalue of the last step's stiffened matrix, 1/mm
    Grid3<float> last_step;  ///< length of the last step, mm
    Grid3<float> agreement;  ///< local correlation of the images under the field, NaN where they show nothing or one ends
};

/// Where the control points lie whose cells the voxels of a grid fill. Throws std::invalid_argument where they do not.
Geometry control_geometry(const Geometry& fixed, int control_step);

/// Bytes that a descent takes with both images; the sizes are those of the images. is_everywhere: no control points are wanted.
std::int64_t memory_need_descent(Size3 fixed, Size3 moving, bool is_everywhere, const DescentSettings& settings);

/// A field that fits the images better.
/// fixed: on a grid whose voxels fill the cells round the control points; moving: in the same world, on any grid.
/// wanted: control points round which the images are compared, positive there; none compares them everywhere.
/// start: mm along the axes of the fixed grid. Throws std::invalid_argument when sizes do not agree.
DescentResult descend(const Image& fixed, const Image& moving, const std::optional<Grid3<float>>& wanted, ShiftField start,
                      const DescentSettings& settings);

/// Smallest share of its volume that a cell keeps under a field, minus infinity where it is no number; spacing_mm: between its
/// control points.
float smallest_jacobian(const ShiftField& shift, const std::array<double, 3>& spacing_mm);

/// Smallest eigenvalue of a symmetric matrix from its entries xx, xy, xz, yy, yz, zz.
double smallest_eigenvalue(const std::array<double, 6>& entries);

}  // namespace deeds
