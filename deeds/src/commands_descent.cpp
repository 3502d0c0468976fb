// What:          the command that takes a finished registration below a voxel: descend.
// Source:        this project.
// Complexity:    that of the descent.
// Thread safety: each command owns its data.
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands_common.hpp"
#include "descent.hpp"
#include "errors.hpp"
#include "field_file.hpp"
#include "geometry.hpp"
#include "mapping.hpp"
#include "thread_pool.hpp"

namespace deeds {
namespace {

/// Directions of the axes of a grid, one a column.
struct Axes {
    double m[3][3];
};

Axes axes_of(const Geometry& grid) {
    const Point3 spacing = spacing_of(grid.to_world);
    const double lengths[3] = {spacing.x, spacing.y, spacing.z};
    Axes axes;
    for (int row = 0; row < 3; ++row)
        for (int axis = 0; axis < 3; ++axis) axes.m[row][axis] = grid.to_world.m[row][axis] / lengths[axis];
    return axes;
}

/// Calls body(voxel, index) for every control point.
template <class Body>
void every_point(Size3 size, int threads, const Body& body) {
    in_parallel(size.z, threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t k = first; k < last; ++k)
            for (std::int64_t j = 0; j < size.y; ++j)
                for (std::int64_t i = 0; i < size.x; ++i)
                    body(point_of(i, j, k), static_cast<std::size_t>((k * size.y + j) * size.x + i));
    });
}

/// What the mapping adds to the place of every control point, along the axes of their grid.
ShiftField shift_of(const Registration& registration, const Geometry& control, int threads) {
    const WorldMap map(registration);
    const Axes axes = axes_of(control);
    ShiftField shift;
    for (auto& part : shift) part = Grid3<float>(control.size);
    every_point(control.size, threads, [&](Point3 voxel, std::size_t n) {
        const Point3 from = transformed(control.to_world, voxel), to = map.moving_of(from);
        const double moved[3] = {to.x - from.x, to.y - from.y, to.z - from.z};
        for (std::size_t axis = 0; axis < 3; ++axis)
            shift[axis].values[n] =
                static_cast<float>(axes.m[0][axis] * moved[0] + axes.m[1][axis] * moved[1] + axes.m[2][axis] * moved[2]);
    });
    return shift;
}

/// Turns a shift into displacements in the world with LPS components, in place.
void to_world_lps(ShiftField& shift, const Geometry& control, int threads) {
    const Axes axes = axes_of(control);
    every_point(control.size, threads, [&](Point3, std::size_t n) {
        const double along[3] = {shift[0].values[n], shift[1].values[n], shift[2].values[n]};
        for (std::size_t row = 0; row < 3; ++row) {
            const double moved = axes.m[row][0] * along[0] + axes.m[row][1] * along[1] + axes.m[row][2] * along[2];
            shift[row].values[n] = static_cast<float>(row < 2 ? -moved : moved);
        }
    });
}

/// Throws FileError unless the axes are at right angles: a shift along one of them must not be one along another.
void require_right_angles(const Image& image) {
    constexpr double largest_cosine = 1e-4;
    const Axes axes = axes_of(image.geometry);
    for (int first = 0; first < 3; ++first)
        for (int second = 0; second < first; ++second) {
            double cosine = 0;
            for (const auto& row : axes.m) cosine += row[first] * row[second];
            if (std::fabs(cosine) > largest_cosine) throw FileError(image.path, "has skewed axes, right angles are expected");
        }
}

DescentSettings settings_of(const DescendOptions& options) {
    DescentSettings settings;
    settings.control_step = options.control_step;
    for (std::size_t n = 0; n < options.steps.size(); ++n)
        settings.passes.push_back({options.smooth_mm[n], options.window_mm[n], options.steps[n]});
    settings.contrast_mm = options.contrast_mm;
    settings.noise = options.noise;
    settings.stiffness = options.stiffness;
    settings.start_smooth_mm = options.start_smooth_mm;
    settings.largest_step_mm = options.largest_step_mm;
    settings.rough_window_mm = options.rough_window_mm;
    settings.wall_mm = options.wall_mm;
    settings.threads = options.general.threads;
    return settings;
}

}  // namespace

void run_descend(const DescendOptions& options) {
    const GeneralOptions& general = options.general;
    const std::string hold = options.evidence_stem + "_hold.nii", step = options.evidence_stem + "_step.nii",
                      agreement = options.evidence_stem + "_agreement.nii";
    require_image_name(options.displacements);
    require_writable(options.displacements);
    if (!options.evidence_stem.empty()) require_writable(hold);
    const DescentSettings settings = settings_of(options);
    const Size3 fixed_size = read_geometry(options.fixed).size, moving_size = read_geometry(options.moving).size;
    require_memory(general, "a descent from " + text_of(moving_size) + " to " + text_of(fixed_size) + " voxels",
                   memory_need_descent(fixed_size, moving_size, options.region.empty(), settings));
    const Registration registration = read_registration(options.stem);
    const ReadOptions reading = read_options(general);
    const Image fixed = read_image(options.fixed, reading), moving = read_image(options.moving, reading);
    require_right_angles(fixed);
    Geometry control;
    try {
        control = control_geometry(fixed.geometry, options.control_step);
    } catch (const std::invalid_argument& error) {
        throw FileError(options.fixed, error.what());
    }
    std::optional<Grid3<float>> wanted;
    if (!options.region.empty()) {
        wanted = read_labels(options.region, reading).voxels;
        if (wanted->size != control.size)
            throw FileError(options.region, "has " + text_of(wanted->size) + " voxels, one for each of " + text_of(control.size) +
                                                " control points is expected");
    }
    DescentResult found =
        descend(fixed, moving, wanted, shift_of(registration, control, general.threads), settings);
    to_world_lps(found.shift, control, general.threads);
    std::vector<PendingFile> files;
    files.push_back(vector_file(options.displacements, control, found.shift[0], found.shift[1], found.shift[2]));
    if (!options.evidence_stem.empty()) {
        files.push_back(image_file(hold, control, found.hold, VoxelType::float32));
        files.push_back(image_file(step, control, found.last_step, VoxelType::float32));
        files.push_back(image_file(agreement, control, found.agreement, VoxelType::float32));
    }
    commit_all(files);
    if (!general.quiet) std::printf("%s: written\n", options.displacements.c_str());
}

}  // namespace deeds
