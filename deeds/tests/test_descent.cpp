// What:          the descent below a voxel and its parts, on shifts and numbers that are worked out by hand.
// Source:        this project.
// Complexity:    some seconds.
// Thread safety: one test at a time.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "check.hpp"
#include "control_cells.hpp"
#include "descent.hpp"
#include "gaussian.hpp"
#include "kernels.hpp"
#include "phantom.hpp"

namespace {

using namespace deeds;

constexpr Size3 kVoxels{36, 34, 32};
constexpr std::array<double, 3> kMoved = {0.4, -0.4, 0.25};  // voxels

/// Voxels of 2 mm whose first axis runs to the left.
Geometry grid_of(Size3 size) { return {size, {{{-2, 0, 0, 30}, {0, 2, 0, -20}, {0, 0, 2, 5}}}}; }

Image image_of(Grid3<float> voxels) { return {"phantom", grid_of(voxels.size), std::move(voxels)}; }

Image still_image(unsigned seed) { return image_of(Phantom(seed).image(kVoxels)); }

/// The same content kMoved voxels farther along the axes, in another contrast.
Image moved_image(unsigned seed) {
    Image image = image_of(Phantom(seed).image(
        kVoxels, [](double x, double y, double z) { return std::array<double, 3>{x - kMoved[0], y - kMoved[1], z - kMoved[2]}; }));
    for (float& value : image.voxels.values) value = 1.3f * value + 30;
    return image;
}

DescentSettings settings_of(int threads) {
    DescentSettings settings;
    settings.passes = {{2, 8, 6}};
    settings.contrast_mm = 8;
    settings.noise = 10;
    settings.stiffness = 0.001;
    settings.start_smooth_mm = 0;
    settings.threads = threads;
    return settings;
}

ShiftField start_of(float shift_mm) {
    ShiftField start;
    for (auto& part : start) part = Grid3<float>(control_geometry(grid_of(kVoxels), 2).size, shift_mm);
    return start;
}

bool same_bits(const Grid3<float>& a, const Grid3<float>& b) {
    return a.size == b.size && std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
}

bool same_bits(const DescentResult& a, const DescentResult& b) {
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (!same_bits(a.shift[axis], b.shift[axis])) return false;
    return same_bits(a.hold, b.hold) && same_bits(a.last_step, b.last_step) && same_bits(a.agreement, b.agreement);
}

void means_are_those_of_a_gaussian() {
    ThreadPool pool(2);
    Grid3<float> grid({5, 1, 3});
    grid.at(2, 0, 1) = 1;
    // Weights 1, e^-0.5, e^-2, e^-4.5 of a standard deviation of 1, over 1 + 2 (e^-0.5 + e^-2 + e^-4.5), along x alone.
    const Grid3<float> along_x = gaussian(grid, {1, 0, 0}, pool);
    CHECK_NEAR(along_x.at(2, 0, 1), 0.39905028, 1e-6);
    CHECK_NEAR(along_x.at(1, 0, 1), 0.24203623, 1e-6);
    CHECK_NEAR(along_x.at(4, 0, 1), 0.05400558, 1e-6);
    CHECK(along_x.at(2, 0, 0) == 0);
    // 0.4 of a sample reaches to its neighbours: 1 / (1 + 2 e^-3.125) and e^-3.125 of it; beyond the border nothing is lost.
    const Grid3<float> along_z = gaussian(grid, {0, 0, 0.4}, pool);
    CHECK_NEAR(along_z.at(2, 0, 1), 0.91922421, 1e-6);
    CHECK_NEAR(along_z.at(2, 0, 0), 0.04038789, 1e-6);
    for (const float value : gaussian(Grid3<float>({4, 3, 2}, 7.0f), {2, 3, 4}, pool).values) CHECK_NEAR(value, 7, 1e-5);
}

void cells_surround_their_control_points() {
    const ControlCells cells({4, 4, 4}, 2);
    Grid3<float> values({2, 2, 2});
    for (std::int64_t n = 0; n < 8; ++n) values.values[static_cast<std::size_t>(n)] = static_cast<float>(n % 2 * 4 + n / 4 * 8);
    float scratch[2], row[4];
    cells.row(values, 0, 0, scratch, row);  // even beyond the outermost control points
    CHECK(row[0] == 0 && row[1] == 1 && row[2] == 3 && row[3] == 4);
    cells.row(values, 1, 2, scratch, row);  // three quarters of the way to the second slice
    CHECK(row[0] == 6 && row[3] == 10);
    const float summed[4] = {8, 0, 4, 12};
    cells.cell_means(summed, row);
    CHECK(row[0] == 1 && row[1] == 2);
    CHECK_REFUSED(ControlCells({5, 4, 4}, 2), "has 5x4x4 voxels, multiples of 2 from 4 on are expected");
    CHECK_REFUSED(ControlCells({2, 4, 4}, 2), "2x4x4");
    const Geometry control = control_geometry({{4, 6, 8}, {{{2, 0, 0, 1}, {0, 3, 0, 0}, {0, 0, -4, 0}}}}, 2);
    CHECK(control.size == (Size3{2, 3, 4}));
    CHECK(control.to_world.m[0][0] == 4 && control.to_world.m[0][3] == 2 && control.to_world.m[2][2] == -8 && control.to_world.m[2][3] == -2);
}

void a_stretch_keeps_its_share_of_the_volume() {
    // Half of x along x and -0.2 z along z added: 1.5 * 0.8.
    ShiftField shift;
    for (auto& part : shift) part = Grid3<float>({5, 4, 6});
    for (std::int64_t z = 0; z < 6; ++z)
        for (std::int64_t y = 0; y < 4; ++y)
            for (std::int64_t x = 0; x < 5; ++x) {
                shift[0].at(x, y, z) = 1.5f * static_cast<float>(x);
                shift[2].at(x, y, z) = -0.6f * static_cast<float>(z);
            }
    CHECK_NEAR(smallest_jacobian(shift, {3, 3, 3}), 1.2, 1e-5);
    shift[1].at(2, 2, 3) = -7;  // its neighbour along y comes to lie before it
    CHECK(smallest_jacobian(shift, {3, 3, 3}) < 0);
    shift[1].at(2, 2, 3) = NAN;
    CHECK(smallest_jacobian(shift, {3, 3, 3}) < 0);
}

void the_smallest_eigenvalue_is_found() {
    CHECK_NEAR(smallest_eigenvalue({3, 0, 0, 5, 0, 2}), 2, 1e-12);
    CHECK_NEAR(smallest_eigenvalue({2, 0, 0, 2, 0, 2}), 2, 1e-12);
    CHECK_NEAR(smallest_eigenvalue({2, 1, 0, 2, 0, 5}), 1, 1e-12);       // 1, 3 and 5
    CHECK_NEAR(smallest_eigenvalue({1, 2, 3, 4, 6, 9}), 0, 1e-12);       // products of 1, 2, 3
}

void a_shift_of_less_than_a_voxel_is_found() {
    const DescentResult found = descend(still_image(3), moved_image(3), std::nullopt, start_of(0), settings_of(1));
    double farthest = 0, sums[3] = {0, 0, 0};
    int count = 0;
    const Size3 control = found.shift[0].size;
    for (std::int64_t z = 4; z + 4 < control.z; ++z)
        for (std::int64_t y = 4; y + 4 < control.y; ++y)
            for (std::int64_t x = 4; x + 4 < control.x; ++x, ++count)
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    const double off = found.shift[axis].at(x, y, z) / 2 - kMoved[axis];
                    farthest = std::max(farthest, std::fabs(off));
                    sums[axis] += off;
                }
    CHECK(farthest < 0.15);
    for (const double sum : sums) CHECK(std::fabs(sum / count) < 0.02);
    CHECK(found.agreement.at(9, 8, 8) > 0.95f);
    CHECK(found.hold.at(9, 8, 8) > std::sqrt(0.001f));
    CHECK(found.last_step.at(9, 8, 8) < 0.1f);
    CHECK(std::isnan(found.agreement.at(17, 8, 8)));  // there the moving image ends
}

void nothing_moves_where_the_images_show_nothing() {
    const Image uniform = image_of(Grid3<float>(kVoxels, 40.0f));
    const DescentResult found = descend(uniform, uniform, std::nullopt, start_of(3), settings_of(1));
    for (const auto& part : found.shift)
        for (const float value : part.values) CHECK_NEAR(value, 3, 1e-4);
    for (const float value : found.hold.values) CHECK_NEAR(value, std::sqrt(0.001), 1e-6);
    CHECK(std::all_of(found.agreement.values.begin(), found.agreement.values.end(), [](float value) { return std::isnan(value); }));
}

void roughness_leaves_the_field_and_walls_stay() {
    const Image uniform = image_of(Grid3<float>(kVoxels, 40.0f));
    DescentSettings settings = settings_of(1);
    settings.rough_window_mm = 4;  // the distance of control points
    settings.wall_mm = 0.3;
    ShiftField noise = start_of(3), wall = start_of(3);
    for (std::int64_t z = 0; z < noise[0].size.z; ++z)
        for (std::int64_t y = 0; y < noise[0].size.y; ++y)
            for (std::int64_t x = 0; x < noise[0].size.x; ++x) {
                noise[0].at(x, y, z) += (x + y + z) % 2 == 0 ? 0.1f : -0.1f;
                wall[2].at(x, y, z) += x < 9 ? 0.0f : 8.0f;
            }
    const DescentResult evened = descend(uniform, uniform, std::nullopt, noise, settings);
    for (const float value : evened.shift[0].values) CHECK_NEAR(value, 3, 0.02);
    CHECK(evened.last_step.at(9, 8, 8) == 0);
    const ShiftField slid = descend(uniform, uniform, std::nullopt, wall, settings).shift;
    CHECK(slid[2].at(9, 8, 8) - slid[2].at(8, 8, 8) > 7);
    settings.rough_window_mm = 0;
    CHECK(same_bits(descend(uniform, uniform, std::nullopt, noise, settings).shift[0], noise[0]));
}

void what_lies_outside_the_region_is_not_looked_at() {
    const Image fixed = still_image(3), moving = moved_image(3);
    Grid3<float> region(start_of(0)[0].size);
    for (std::int64_t z = 5; z < 12; ++z)
        for (std::int64_t y = 5; y < 12; ++y)
            for (std::int64_t x = 6; x < 12; ++x) region.at(x, y, z) = 1;
    Image other = moving;
    for (std::int64_t z = 0; z < kVoxels.z; ++z)
        for (std::int64_t y = 0; y < kVoxels.y; ++y) other.voxels.at(0, y, z) = 3000;
    DescentSettings settings = settings_of(1);
    settings.passes[0].smooth_mm = 0;
    const DescentResult found = descend(fixed, moving, region, start_of(0), settings);
    CHECK(same_bits(descend(fixed, other, region, start_of(0), settings), found));
    CHECK_NEAR(found.shift[0].at(9, 8, 8) / 2, kMoved[0], 0.1);
    CHECK(found.shift[0].at(0, 0, 0) == 0);
    CHECK_REFUSED(descend(fixed, moving, Grid3<float>({3, 3, 3}), start_of(0), settings), "differ");
}

void unrelated_images_fold_nothing() {
    DescentSettings loose = settings_of(1);
    loose.passes = {{0, 2, 6}};
    loose.stiffness = 1e-6;
    const DescentResult found = descend(still_image(3), still_image(4), std::nullopt, start_of(0), loose);
    float largest = 0;
    for (const float value : found.shift[0].values) largest = std::max(largest, std::fabs(value));
    CHECK(largest > 0.5f);
    CHECK(smallest_jacobian(found.shift, {4, 4, 4}) > 0);
}

void rows_of_every_length_are_weighed_alike() {
    const float weights[4] = {0.4f, 0.2f, 0.08f, 0.02f};
    std::vector<float> values(128);
    for (std::size_t n = 0; n < values.size(); ++n) values[n] = static_cast<float>(n * n % 97) + 0.3f;
    for (const InstructionSet set : supported_sets()) {
        select_instruction_set(set);
        for (const int reach : {0, 1, 3})
            for (const std::int64_t count : {1, 7, 8, 9, 31, 32, 33, 45, 90}) {
                const float* rows[7];
                for (int k = 0; k <= 2 * reach; ++k) rows[k] = values.data() + 5 * k;
                std::vector<float> found(static_cast<std::size_t>(count) + 1, -1.0f);
                kernels().weigh_rows(weights, reach, rows, count, found.data());
                CHECK(found.back() == -1);  // nothing is written behind the row
                for (std::int64_t x = 0; x < count; ++x) {
                    float sum = weights[0] * rows[reach][x];
                    for (int k = 1; k <= reach; ++k) sum += weights[k] * (rows[reach - k][x] + rows[reach + k][x]);
                    CHECK(found[static_cast<std::size_t>(x)] == sum);
                }
            }
    }
}

void results_do_not_depend_on_threads_or_instructions() {
    const Image fixed = still_image(3), moving = moved_image(3);
    select_instruction_set(InstructionSet::portable);
    const DescentResult expected = descend(fixed, moving, std::nullopt, start_of(1), settings_of(1));
    for (const InstructionSet set : supported_sets()) {
        select_instruction_set(set);
        for (const int threads : {1, 2, 5}) CHECK(same_bits(descend(fixed, moving, std::nullopt, start_of(1), settings_of(threads)), expected));
    }
}

}  // namespace

int main() {
    means_are_those_of_a_gaussian();
    cells_surround_their_control_points();
    a_stretch_keeps_its_share_of_the_volume();
    the_smallest_eigenvalue_is_found();
    a_shift_of_less_than_a_voxel_is_found();
    nothing_moves_where_the_images_show_nothing();
    roughness_leaves_the_field_and_walls_stay();
    what_lies_outside_the_region_is_not_looked_at();
    unrelated_images_fold_nothing();
    rows_of_every_length_are_weighed_alike();
    results_do_not_depend_on_threads_or_instructions();
    return failed_checks == 0 ? 0 : 1;
}
