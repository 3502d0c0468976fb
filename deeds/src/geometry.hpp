// What:          voxel and world coordinates, resampling, and the one grid on which a pair is registered.
// Source:        NIfTI-1 (world is RAS+, millimetres); deeds.md 1.9 of the project's specification for foreign grids.
// Complexity:    linear in the voxels of the output.
// Thread safety: pure functions; `threads` divides the slices of the output, results do not depend on it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "transform.hpp"
#include "volume3.hpp"

namespace deeds {

struct Image;

struct Point3 {
    double x = 0;
    double y = 0;
    double z = 0;
};

/// Size of a grid and where its voxels lie: world (mm, RAS+) = to_world * [i, j, k, 1].
struct Geometry {
    Size3 size;
    AffineVox to_world;
};

Point3 transformed(const AffineVox& transform, Point3 point);
double determinant(const AffineVox& transform);

/// Distances between neighbouring voxels along i, j, k in mm.
Point3 spacing_of(const AffineVox& to_world);

/// Whether the grids have the same size and their voxels differ by less than a thousandth of a voxel.
bool same_geometry(const Geometry& a, const Geometry& b);

/// "80x72x64".
std::string text_of(Size3 size);

/// Calls body(first, last) on contiguous parts of [0, count), in `threads` threads.
void in_parallel(std::int64_t count, int threads, const std::function<void(std::int64_t, std::int64_t)>& body);

// ---------------------------------------------------------------------------------------------------------------------
// Sampling

enum class Interpolation { linear, nearest };

/// Value at a fractional voxel. Up to half a voxel beyond the outermost centres the nearest voxel inside counts; farther out
/// `outside` does, or, without it, the nearest voxel inside as well.
float sample(const Grid3<float>& voxels, Point3 voxel, Interpolation interpolation, std::optional<float> outside);

/// Grid of `target` filled from `source` at target_to_source(voxel of target).
using VoxelMap = std::function<Point3(std::int64_t i, std::int64_t j, std::int64_t k)>;
Grid3<float> resampled(const Grid3<float>& source, Size3 target, const VoxelMap& target_to_source, Interpolation interpolation,
                       std::optional<float> outside, int threads);

// ---------------------------------------------------------------------------------------------------------------------
// The registration grid

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

// ---------------------------------------------------------------------------------------------------------------------
// The estimated mapping

/// Affine mapping and displacement field of a registration with the grid they belong to.
struct Registration {
    PairGeometry geometry;
    AffineVox affine;                   ///< M
    std::optional<ControlField> field;  ///< u; without it the mapping is affine
};

/// Point of the moving image's world that belongs to a point of the fixed image's world, and the inverse.
class WorldMap {
  public:
    explicit WorldMap(const Registration& registration);

    Point3 moving_of(Point3 fixed_world) const;

    struct Inverse {
        Point3 fixed_world;
        bool arrived = false;  ///< moving_of(fixed_world) is within 1e-6 voxels; not so where the field folds
    };

    /// Fixed point that moving_of carries to `moving_world`, or the nearest one found.
    Inverse fixed_of(Point3 moving_world) const;

  private:
    Point3 moving_voxel_of(Point3 registration_voxel) const;

    const Registration& registration_;
    AffineVox world_to_registration_;
    AffineVox world_to_moving_;
    AffineVox inverse_affine_;
};

/// The moving image (its own geometry) carried onto `target` (in the fixed image's world).
Grid3<float> carried_to(const Geometry& target, const Image& moving, const Registration& registration,
                        Interpolation interpolation, std::optional<float> outside, int threads);

}  // namespace deeds
