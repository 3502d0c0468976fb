// What:          the mapping that a registration estimated: points of one world in the other, images carried along.
// Source:        this project.
// Complexity:    constant for one point, linear in the voxels of an image.
// Thread safety: pure functions; results do not depend on `threads`.
#pragma once

#include <optional>

#include "pair_geometry.hpp"
#include "sampling.hpp"
#include "transform.hpp"

namespace deeds {

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
