// What:          the one grid on which a pair is registered, and both images on it.
// Source:        this project.
// Complexity:    linear in the voxels of the grid.
// Thread safety: pure functions; results do not depend on `threads`.
#pragma once

#include "geometry.hpp"
#include "transform.hpp"
#include "volume3.hpp"

namespace deeds {

struct Image;

struct PrepareOptions {
    double spacing_mm = 0;        ///< isotropic registration grid; 0: the grid of the fixed image
    bool resample = false;        ///< accept images of different size although spacing_mm is 0
    bool as_stored = false;       ///< no world coordinates: voxel (i,j,k) of one image belongs to (i,j,k) of the other
    bool align_centres = false;   ///< begin with the centres of the grids on one another
    double background = -1024;    ///< intensity outside the images
    double intensity_offset = 0;  ///< added to both images
    int threads = 1;
};

/// Where a registration took place. A registration maps registration voxel p to moving = M p + u(p), both in registration voxels;
/// fixed world = registration.to_world * p and moving world = moving_to_world * moving.
struct PairGeometry {
    Geometry fixed;             ///< the fixed image as stored
    Geometry moving;            ///< the moving image as stored
    Geometry registration;      ///< the common grid, in the fixed image's world
    AffineVox moving_to_world;  ///< voxels of the common grid to the moving image's world
};

struct PreparedPair {
    Grid3<float> fixed;
    Grid3<float> moving;
    PairGeometry geometry;
};

/// The grid on which fixed and moving would be registered; reads no voxels. Throws as prepare_pair does.
PairGeometry pair_geometry(const Geometry& fixed, const Geometry& moving, const PrepareOptions& options);

/// Both images on one grid whose axes run to the right, to the front and up (closest axes), so that flipped and permuted files
/// give the same registration. Images of equal geometry are only reordered, never interpolated; the moving image otherwise is
/// carried to the grid in world coordinates, smoothed where the grid is coarser than the image.
/// Throws std::invalid_argument when sizes differ and neither spacing_mm nor resample allows it, or when the images do not overlap.
PreparedPair prepare_pair(const Image& fixed, const Image& moving, const PrepareOptions& options);

}  // namespace deeds
