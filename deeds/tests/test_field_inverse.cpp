// What:          tests of the inverse of a displacement field: a bend that is known, threads, folds, places outside.
// Source:        this project.
// Complexity:    seconds.
// Thread safety: single-threaded but for the threads under test.
#include "field_inverse.hpp"

#include "check.hpp"

using namespace deeds;

namespace {

Geometry grid_of(Size3 size) {
    Geometry grid;
    grid.size = size;
    for (int axis = 0; axis < 3; ++axis) grid.to_world.m[axis][axis] = 2 + axis;
    return grid;
}

VoxelShift zeros(Size3 size) { return {Grid3<float>(size), Grid3<float>(size), Grid3<float>(size)}; }

/// A wave along i, as high as asked for, that moves places along j and k by other amounts too.
VoxelShift wave(Size3 size, double height) {
    VoxelShift shift = zeros(size);
    for (std::int64_t k = 0; k < size.z; ++k)
        for (std::int64_t j = 0; j < size.y; ++j)
            for (std::int64_t i = 0; i < size.x; ++i) {
                const double at = std::sin(0.3 * static_cast<double>(i + j)) * height;
                shift[0].at(i, j, k) = static_cast<float>(at);
                shift[1].at(i, j, k) = static_cast<float>(0.5 * at);
                shift[2].at(i, j, k) = static_cast<float>(-0.25 * at);
            }
    return shift;
}

void a_shift_of_all_places_is_turned_round_inside() {
    const Size3 size{12, 11, 10};
    VoxelShift shift = zeros(size);
    for (float& value : shift[0].values) value = 2.25f;
    const FieldInverse found = inverse_of(shift, grid_of(size), {});
    CHECK_NEAR(found.shift[0].at(6, 5, 5), -2.25, 1e-6);
    CHECK_NEAR(found.shift[1].at(6, 5, 5), 0, 1e-6);
}

void places_that_nothing_comes_to_are_counted() {
    const Size3 size{12, 11, 10};
    VoxelShift shift = zeros(size);
    for (float& value : shift[0].values) value = 2.25f;
    const FieldInverse found = inverse_of(shift, grid_of(size), {});
    // Nothing comes to i = 0 and 1. At i = 1 the nearest that does is the border, 0.75 voxels of 2 mm off; at 0 what is beyond it.
    CHECK(found.unreached == 2 * 11 * 10);
    CHECK_NEAR(found.largest_mm, 1.5, 1e-3);
}

void a_fold_is_counted_with_how_far_off_it_is() {
    const Size3 size{40, 20, 6};
    const FieldInverse smooth = inverse_of(wave(size, 0.5), grid_of(size), {}), folded = inverse_of(wave(size, 9), grid_of(size), {});
    CHECK(folded.unreached > 100);
    CHECK(folded.largest_mm > 0.01);
    CHECK(smooth.unreached < folded.unreached);
    for (const auto& part : folded.shift)
        for (const float value : part.values) CHECK(std::isfinite(value));
}

void bits_do_not_depend_on_threads() {
    const Size3 size{40, 20, 7};
    InversionSettings settings;
    const FieldInverse one = inverse_of(wave(size, 3), grid_of(size), settings);
    for (const int threads : {2, 3, 8}) {
        settings.threads = threads;
        const FieldInverse more = inverse_of(wave(size, 3), grid_of(size), settings);
        for (std::size_t axis = 0; axis < 3; ++axis) CHECK(more.shift[axis].values == one.shift[axis].values);
        CHECK(more.unreached == one.unreached && more.largest_mm == one.largest_mm);
    }
}

}  // namespace

int main() {
    a_shift_of_all_places_is_turned_round_inside();
    places_that_nothing_comes_to_are_counted();
    a_fold_is_counted_with_how_far_off_it_is();
    bits_do_not_depend_on_threads();
    return failed_checks == 0 ? 0 : 1;
}
