// What:          voxel and world coordinates.
// Source:        NIfTI-1 (world is RAS+, millimetres).
// Complexity:    constant.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "transform.hpp"
#include "volume3.hpp"

namespace deeds {

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

inline Point3 point_of(std::int64_t i, std::int64_t j, std::int64_t k) {
    return {static_cast<double>(i), static_cast<double>(j), static_cast<double>(k)};
}

Point3 transformed(const AffineVox& transform, Point3 point);
double determinant(const AffineVox& transform);

/// Distances between neighbouring voxels along i, j, k in mm.
Point3 spacing_of(const AffineVox& to_world);

/// Whether the grids have the same size and their voxels differ by less than a thousandth of a voxel.
bool same_geometry(const Geometry& a, const Geometry& b);

/// "80x72x64".
std::string text_of(Size3 size);

}  // namespace deeds
