// What:          the mapping that a registration estimated: points of one world in the other, images carried along.
// Source:        this project.
// Complexity:    constant for one point, linear in the voxels of an image.
// Thread safety: pure functions.
#include "mapping.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "nifti.hpp"

namespace deeds {

WorldMap::WorldMap(const Registration& registration)
    : registration_(registration),
      world_to_registration_(inverse(registration.geometry.registration.to_world)),
      world_to_moving_(inverse(registration.geometry.moving_to_world)),
      inverse_affine_(inverse(registration.affine)) {}

Point3 WorldMap::moving_voxel_of(Point3 registration_voxel) const {
    Point3 moving = transformed(registration_.affine, registration_voxel);
    if (registration_.field) {
        const Displacement u = displacement_at(*registration_.field, registration_voxel.x, registration_voxel.y, registration_voxel.z);
        moving.x += u.i;
        moving.y += u.j;
        moving.z += u.k;
    }
    return moving;
}

Point3 WorldMap::moving_of(Point3 fixed_world) const {
    return transformed(registration_.geometry.moving_to_world, moving_voxel_of(transformed(world_to_registration_, fixed_world)));
}

WorldMap::Inverse WorldMap::fixed_of(Point3 moving_world) const {
    constexpr int fixed_point_rounds = 60;
    constexpr int newton_rounds = 40;
    constexpr double tolerance = 1e-6;  // voxels
    const Point3 wanted = transformed(world_to_moving_, moving_world);
    const auto missing = [&](Point3 voxel) {
        const Point3 reached = moving_voxel_of(voxel);
        return Point3{wanted.x - reached.x, wanted.y - reached.y, wanted.z - reached.z};
    };
    const auto length = [](Point3 p) { return std::hypot(p.x, p.y, p.z); };
    const auto turned = [](const AffineVox& linear, Point3 p) {  // without the translation
        return Point3{linear.m[0][0] * p.x + linear.m[0][1] * p.y + linear.m[0][2] * p.z,
                      linear.m[1][0] * p.x + linear.m[1][1] * p.y + linear.m[1][2] * p.z,
                      linear.m[2][0] * p.x + linear.m[2][1] * p.y + linear.m[2][2] * p.z};
    };
    const auto moved = [](Point3 p, Point3 step, double share) {
        return Point3{p.x + share * step.x, p.y + share * step.y, p.z + share * step.z};
    };

    Point3 voxel = transformed(inverse_affine_, wanted);
    Point3 residual = missing(voxel);
    for (int round = 0; round < fixed_point_rounds + newton_rounds && !(length(residual) < tolerance); ++round) {
        AffineVox slope = inverse_affine_;
        if (round >= fixed_point_rounds) {  // the field compresses too much for the fixed point: use its own slope
            constexpr double h = 1e-3;
            AffineVox forward;
            for (int axis = 0; axis < 3; ++axis) {
                const Point3 step{axis == 0 ? h : 0, axis == 1 ? h : 0, axis == 2 ? h : 0};
                const Point3 ahead = moving_voxel_of(moved(voxel, step, 1)), behind = moving_voxel_of(moved(voxel, step, -1));
                forward.m[0][axis] = (ahead.x - behind.x) / (2 * h);
                forward.m[1][axis] = (ahead.y - behind.y) / (2 * h);
                forward.m[2][axis] = (ahead.z - behind.z) / (2 * h);
            }
            if (std::fabs(determinant(forward)) > 1e-6) slope = inverse(forward);
        }
        const Point3 step = turned(slope, residual);
        double share = 1;
        Point3 next = moved(voxel, step, share), next_residual = missing(next);
        while (length(next_residual) > length(residual) && share > 0.05) {
            share /= 2;
            next = moved(voxel, step, share);
            next_residual = missing(next);
        }
        if (!(length(next_residual) < length(residual))) {
            if (round >= fixed_point_rounds) break;
            round = std::max(round, fixed_point_rounds - 1);  // no progress this way
            continue;
        }
        voxel = next;
        residual = next_residual;
    }
    return {transformed(registration_.geometry.registration.to_world, voxel), length(residual) < tolerance};
}

Grid3<float> carried_to(const Geometry& target, const Image& moving, const Registration& registration,
                        Interpolation interpolation, std::optional<float> outside, int threads) {
    const AffineVox to_registration = composed(inverse(registration.geometry.registration.to_world), target.to_world);
    const AffineVox to_moving = composed(inverse(moving.geometry.to_world), registration.geometry.moving_to_world);
    const AffineVox affine_part = composed(composed(to_moving, registration.affine), to_registration);
    const auto& turn = to_moving.m;
    const auto map = [&](std::int64_t i, std::int64_t j, std::int64_t k) {
        Point3 voxel = transformed(affine_part, point_of(i, j, k));
        if (registration.field) {
            const Point3 p = transformed(to_registration, point_of(i, j, k));
            const Displacement u = displacement_at(*registration.field, p.x, p.y, p.z);
            voxel.x += turn[0][0] * u.i + turn[0][1] * u.j + turn[0][2] * u.k;
            voxel.y += turn[1][0] * u.i + turn[1][1] * u.j + turn[1][2] * u.k;
            voxel.z += turn[2][0] * u.i + turn[2][1] * u.j + turn[2][2] * u.k;
        }
        return voxel;
    };
    return filled_by(moving.voxels, target.size, interpolation, outside, threads, map);
}

}  // namespace deeds
