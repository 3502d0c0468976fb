// What:          voxel and world coordinates.
// Source:        NIfTI-1 (world is RAS+, millimetres).
// Complexity:    constant.
// Thread safety: pure functions.
#include "geometry.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace deeds {

Point3 transformed(const AffineVox& transform, Point3 point) {
    const auto& m = transform.m;
    return {m[0][0] * point.x + m[0][1] * point.y + m[0][2] * point.z + m[0][3],
            m[1][0] * point.x + m[1][1] * point.y + m[1][2] * point.z + m[1][3],
            m[2][0] * point.x + m[2][1] * point.y + m[2][2] * point.z + m[2][3]};
}

double determinant(const AffineVox& transform) {
    const auto& m = transform.m;
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

Point3 spacing_of(const AffineVox& to_world) {
    const auto& m = to_world.m;
    const auto length = [&](int column) { return std::hypot(m[0][column], m[1][column], m[2][column]); };
    return {length(0), length(1), length(2)};
}

namespace {

double distance(Point3 a, Point3 b) { return std::hypot(a.x - b.x, a.y - b.y, a.z - b.z); }

}  // namespace

bool same_geometry(const Geometry& a, const Geometry& b) {
    if (a.size != b.size) return false;
    const Point3 spacing = spacing_of(a.to_world);
    const double tolerance = 1e-3 * std::min({spacing.x, spacing.y, spacing.z});
    for (int corner = 0; corner < 8; ++corner) {
        const Point3 voxel = point_of((corner & 1) * (a.size.x - 1), (corner >> 1 & 1) * (a.size.y - 1), (corner >> 2) * (a.size.z - 1));
        if (!(distance(transformed(a.to_world, voxel), transformed(b.to_world, voxel)) < tolerance)) return false;
    }
    return true;
}

std::string text_of(Size3 size) {
    return std::to_string(size.x) + "x" + std::to_string(size.y) + "x" + std::to_string(size.z);
}

}  // namespace deeds
