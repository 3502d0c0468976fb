// Grids, resampling, the common grid of a pair, and the mapping with its inverse.
#include <algorithm>
#include <cmath>
#include <vector>

#include "check.hpp"
#include "geometry.hpp"
#include "mapping.hpp"
#include "nifti.hpp"
#include "pair_geometry.hpp"
#include "sampling.hpp"

using namespace deeds;

namespace {

double pattern(Point3 world) { return 100 * std::sin(world.x / 7) + 80 * std::cos(world.y / 9) + 60 * std::sin(world.z / 8) + world.x; }

Image image_on(const Geometry& geometry) {
    Image image;
    image.path = "pattern.nii";
    image.geometry = geometry;
    image.voxels = Grid3<float>(geometry.size);
    for (std::int64_t k = 0; k < geometry.size.z; ++k)
        for (std::int64_t j = 0; j < geometry.size.y; ++j)
            for (std::int64_t i = 0; i < geometry.size.x; ++i)
                image.voxels.at(i, j, k) = static_cast<float>(pattern(transformed(geometry.to_world, point_of(i, j, k))));
    return image;
}

const Geometry plain = {{12, 10, 8}, {{{2, 0, 0, -5}, {0, 2, 0, 3}, {0, 0, 2, 40}}}};

/// The same voxels stored with i, j, k running along the given world axes, some of them backwards.
Geometry stored_as(const std::vector<int>& world_axis, const std::vector<bool>& backwards) {
    const std::int64_t sizes[3] = {plain.size.x, plain.size.y, plain.size.z};
    Geometry geometry;
    std::int64_t own[3];
    AffineVox affine = {{{0, 0, 0, plain.to_world.m[0][3]}, {0, 0, 0, plain.to_world.m[1][3]}, {0, 0, 0, plain.to_world.m[2][3]}}};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const int world = world_axis[axis];
        own[axis] = sizes[world];
        affine.m[world][axis] = backwards[axis] ? -2 : 2;
        if (backwards[axis]) affine.m[world][3] += 2 * static_cast<double>(sizes[world] - 1);
    }
    geometry.size = {own[0], own[1], own[2]};
    geometry.to_world = affine;
    return geometry;
}

void every_storage_order_gives_the_same_grid() {
    const Image reference = image_on(plain);
    std::vector<int> order = {0, 1, 2};
    do
        for (int flips = 0; flips < 8; ++flips) {
            const Image stored = image_on(stored_as(order, {(flips & 1) != 0, (flips & 2) != 0, (flips & 4) != 0}));
            const PreparedPair pair = prepare_pair(stored, reference, {});
            CHECK(same_geometry(pair.geometry.registration, plain));
            CHECK(pair.fixed.values == reference.voxels.values);
            CHECK(pair.moving.values == reference.voxels.values);
        }
    while (std::next_permutation(order.begin(), order.end()));
}

void common_grids() {
    PrepareOptions options;
    const Image anisotropic = image_on({{40, 40, 10}, {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 4, 0}}}});
    const Image other = image_on({{30, 44, 16}, {{{1.5, 0, 0, -1}, {0, 1, 0, -2}, {0, 0, 2.5, 1}}}});
    CHECK_REFUSED(prepare_pair(anisotropic, other, options), "40x40x10 and moving image 30x44x16 differ in size");
    options.resample = true;
    CHECK(prepare_pair(anisotropic, other, options).fixed.size == anisotropic.geometry.size);
    options.spacing_mm = 2;
    const PreparedPair pair = prepare_pair(anisotropic, other, options);
    CHECK(pair.fixed.size == (Size3{20, 20, 20}));
    const Point3 first = transformed(pair.geometry.registration.to_world, {0, 0, 0});
    CHECK_NEAR(first.x, 0.5, 1e-9);  // the boxes coincide: from -0.5 to 39.5 and from -2 to 38 mm
    CHECK_NEAR(first.z, -1, 1e-9);
    double worst = 0;
    for (std::int64_t k = 2; k < 17; ++k)
        for (std::int64_t j = 2; j < 18; ++j)
            for (std::int64_t i = 2; i < 18; ++i)
                worst = std::max(worst, static_cast<double>(std::fabs(pair.fixed.at(i, j, k) - pair.moving.at(i, j, k))));
    CHECK(worst < 8);  // of a pattern with a range of about 500

    options.as_stored = true;
    CHECK_REFUSED(prepare_pair(anisotropic, other, options), "--as-stored needs equal sizes");
    Image far = anisotropic;
    far.geometry.to_world.m[0][3] = 1000;
    CHECK_REFUSED(prepare_pair(anisotropic, far, {}), "do not overlap");
    PrepareOptions centred;
    centred.align_centres = true;
    const PreparedPair aligned = prepare_pair(anisotropic, far, centred);
    CHECK(aligned.moving.values == anisotropic.voxels.values);
    CHECK_NEAR(aligned.geometry.moving_to_world.m[0][3], 1000, 1e-9);
    centred.intensity_offset = 7;
    CHECK_NEAR(prepare_pair(anisotropic, far, centred).fixed.values[3], anisotropic.voxels.values[3] + 7, 1e-4);
    Image shifted = anisotropic;
    shifted.geometry.to_world.m[0][3] = 20;
    PrepareOptions background;
    background.background = -77;
    CHECK_NEAR(prepare_pair(anisotropic, shifted, background).moving.at(19, 0, 0), -77, 0);
    CHECK_NEAR(prepare_pair(anisotropic, shifted, background).moving.at(21, 5, 5), anisotropic.voxels.at(1, 5, 5), 1e-3);
}

void samples() {
    Grid3<float> grid(Size3{2, 2, 2});
    grid.values = {0, 10, 20, 30, 40, 50, 60, 70};
    CHECK_NEAR(sample(grid, {0.25, 0.5, 0.5}, Interpolation::linear, {}), 32.5, 1e-5);
    CHECK_NEAR(sample(grid, {-3, 0, 0}, Interpolation::linear, {}), 0, 0);
    CHECK_NEAR(sample(grid, {-0.4, 0, 0}, Interpolation::linear, -1000.0f), 0, 0);
    CHECK_NEAR(sample(grid, {-0.6, 0, 0}, Interpolation::linear, -1000.0f), -1000, 0);
    CHECK_NEAR(sample(grid, {1.6, 1, 1}, Interpolation::nearest, -1.0f), -1, 0);
    CHECK_NEAR(sample(grid, {0.5, 0.49, 1}, Interpolation::nearest, {}), 50, 0);
    CHECK_NEAR(sample(grid, {NAN, 0, 0}, Interpolation::nearest, {}), 0, 0);
    CHECK_NEAR(sample(grid, {1e300, 0, 0}, Interpolation::linear, {}), 10, 0);
}

Registration wavy() {
    Registration registration;
    registration.geometry.registration = {{40, 36, 32}, {{{1.9, 0.2, 0, -30}, {-0.2, 1.9, 0.1, 12}, {0, -0.1, 2, 5}}}};
    registration.geometry.fixed = registration.geometry.moving = registration.geometry.registration;
    registration.geometry.moving_to_world = registration.geometry.registration.to_world;
    registration.geometry.moving_to_world.m[1][3] += 9;
    registration.affine = {{{1.05, 0.04, 0, 2}, {-0.05, 0.97, 0.03, -1}, {0, 0.02, 1.02, 0.5}}};
    ControlField field;
    field.spacing = 4;
    field.image = registration.geometry.registration.size;
    field.control = {10, 9, 8};
    for (std::int64_t n = 0; n < field.control.count(); ++n) {
        const double x = static_cast<double>(n % 10), y = static_cast<double>(n / 10 % 9), z = static_cast<double>(n / 90);
        field.di.push_back(static_cast<float>(2.5 * std::sin(x) * std::cos(y / 2)));
        field.dj.push_back(static_cast<float>(2 * std::cos(z) + std::sin(x / 2)));
        field.dk.push_back(static_cast<float>(1.5 * std::sin(y + z)));
    }
    registration.field = field;
    return registration;
}

void points_go_there_and_back() {
    const Registration registration = wavy();
    const WorldMap map(registration);
    double worst = 0;
    for (double i = -6; i < 46; i += 2.3)
        for (double j = -6; j < 42; j += 2.7)
            for (double k = -5; k < 37; k += 3.1) {
                const Point3 fixed = transformed(registration.geometry.registration.to_world, {i, j, k});
                const WorldMap::Inverse back = map.fixed_of(map.moving_of(fixed));
                CHECK(back.arrived);
                worst = std::max(worst, std::hypot(back.fixed_world.x - fixed.x, back.fixed_world.y - fixed.y, back.fixed_world.z - fixed.z));
            }
    CHECK(worst < 0.001);
    std::printf("points there and back: at most %.2g mm\n", worst);
}

/// carried_to samples the moving image where WorldMap sends the voxel, on any target and any moving grid.
void images_follow_the_points() {
    const Registration registration = wavy();
    const WorldMap map(registration);
    const Image moving = image_on({{90, 100, 40}, {{{-0.9, 0, 0, 60}, {0, 0, 3, -40}, {0, 1.1, 0, -10}}}});
    const Geometry target = {{21, 17, 9}, {{{3, 0.3, 0, -25}, {-0.3, 3, 0, 15}, {0, 0, 5, 10}}}};
    const Grid3<float> one = carried_to(target, moving, registration, Interpolation::linear, -500.0f, 1);
    const Grid3<float> three = carried_to(target, moving, registration, Interpolation::linear, -500.0f, 3);
    CHECK(one.values == three.values);
    const AffineVox to_moving = inverse(moving.geometry.to_world);
    double worst = 0;
    for (std::int64_t k = 0; k < target.size.z; ++k)
        for (std::int64_t j = 0; j < target.size.y; ++j)
            for (std::int64_t i = 0; i < target.size.x; ++i) {
                const Point3 world = transformed(target.to_world, point_of(i, j, k));
                const float expected = sample(moving.voxels, transformed(to_moving, map.moving_of(world)), Interpolation::linear, -500.0f);
                worst = std::max(worst, static_cast<double>(std::fabs(one.at(i, j, k) - expected)));
            }
    CHECK(worst < 0.01);
}

}  // namespace

int main() {
    every_storage_order_gives_the_same_grid();
    common_grids();
    samples();
    points_go_there_and_back();
    images_follow_the_points();
    return failed_checks == 0 ? 0 : 1;
}
