// What:          the commands that estimate a mapping: linear and register.
// Source:        this project.
// Complexity:    that of the registration.
// Thread safety: each command owns its data.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "commands_common.hpp"
#include "errors.hpp"
#include "field_file.hpp"
#include "geometry.hpp"
#include "mapping.hpp"
#include "pair_geometry.hpp"
#include "registration.hpp"
#include "warp.hpp"

namespace deeds {
namespace {

std::string deformed_path(const std::string& stem) { return stem + "_deformed.nii.gz"; }
std::string deformed_labels_path(const std::string& stem) { return stem + "_deformed_seg.nii.gz"; }

// ---------------------------------------------------------------------------------------------------------------------
// What the user sees

/// One line that is rewritten on a terminal; nothing where the output goes to a file.
ProgressCallback progress_line(const GeneralOptions& options) {
    if (options.quiet || isatty(STDERR_FILENO) == 0) return {};
    return [](double share, const std::string& step) {
        std::fprintf(stderr, "\r%3.0f %%  %-60s", 100 * share, step.c_str());
        if (share >= 1) std::fputc('\n', stderr);
    };
}

// ---------------------------------------------------------------------------------------------------------------------
// The pair

PrepareOptions prepare_options(const PairOptions& options) {
    PrepareOptions prepare;
    prepare.spacing_mm = options.spacing_mm;
    prepare.resample = options.resample;
    prepare.as_stored = options.as_stored;
    prepare.align_centres = options.align_centres;
    prepare.background = options.background;
    prepare.intensity_offset = options.intensity_offset;
    prepare.threads = options.general.threads;
    return prepare;
}

/// What the work returns. An error of a setting gets the name of its option, one of the pair the names of its files.
template <class Work>
auto with_names(const PairOptions& pair, const std::string& option_prefix, const Work& work) {
    try {
        return work();
    } catch (const SettingError& error) {
        throw OptionError("--" + option_prefix + error.setting(), error.problem());
    } catch (const std::invalid_argument& error) {
        throw FileError(pair.fixed + ", " + pair.moving, error.what());
    }
}

PairGeometry geometry_of(const PairOptions& pair) {
    const Geometry fixed = read_geometry(pair.fixed), moving = read_geometry(pair.moving);
    return with_names(pair, "", [&] { return pair_geometry(fixed, moving, prepare_options(pair)); });
}

/// Both images with their common grid; of the originals only the moving one is kept, and its labels if there are any.
struct LoadedPair {
    Image moving;
    std::optional<Image> moving_labels;
    PreparedPair prepared;
};

LoadedPair loaded_pair(const PairOptions& options) {
    const ReadOptions reading = read_options(options.general);
    std::optional<Image> labels;
    if (!options.moving_labels.empty()) labels = read_labels(options.moving_labels, reading);
    const auto at_once = options.general.threads > 1 ? std::launch::async : std::launch::deferred;
    auto moving_later = std::async(at_once, [&] { return read_image(options.moving, reading); });
    Image fixed = read_image(options.fixed, reading), moving = moving_later.get();
    require_contrast(fixed);
    require_contrast(moving);
    PreparedPair prepared = prepare_pair(fixed, moving, prepare_options(options));
    return {std::move(moving), std::move(labels), std::move(prepared)};
}

LinearSettings linear_settings(const PairOptions& pair, const LevelLists& levels, bool rigid, const PairGeometry& geometry) {
    LinearSettings settings;
    settings.grid_spacing = levels.grid_spacing;
    settings.search_radius = levels.search_radius;
    settings.quantization = levels.quantization;
    settings.rigid = rigid;
    settings.background = static_cast<float>(pair.background + pair.intensity_offset);
    settings.threads = pair.general.threads;
    settings.progress = progress_line(pair.general);
    const Point3 spacing = spacing_of(geometry.registration.to_world);
    settings.voxel_mm = {spacing.x, spacing.y, spacing.z};
    return settings;
}

RegistrationSettings deformable_settings(const RegisterOptions& options) {
    RegistrationSettings settings;
    settings.grid_spacing = options.levels.grid_spacing;
    settings.search_radius = options.levels.search_radius;
    settings.quantization = options.levels.quantization;
    settings.alpha = options.alpha;
    settings.threads = options.pair.general.threads;
    settings.progress = progress_line(options.pair.general);
    return settings;
}

// ---------------------------------------------------------------------------------------------------------------------
// Outputs

/// The moving image on the fixed image's grid; the nearest voxel inside where it does not reach.
Grid3<float> deformed_image(const Image& moving, const Registration& registration, int threads) {
    const PairGeometry& geometry = registration.geometry;
    const Geometry moving_grid{geometry.registration.size, geometry.moving_to_world};
    if (!same_geometry(geometry.fixed, geometry.registration) || !same_geometry(moving.geometry, moving_grid)) {
        return carried_to(geometry.fixed, moving, registration, Interpolation::linear, std::nullopt, threads);
    }
    // Registered as stored: the mapping is in voxels of the images themselves.
    ThreadPool pool(threads);
    Grid3<float> out;
    warp_image(moving.voxels, registration.affine, &*registration.field, {true, 0.0f}, whole_region(moving.voxels.size), pool, out);
    return out;
}

void append_labels(std::vector<PendingFile>& files, const PairOptions& pair, const std::optional<Image>& labels,
                   const Registration& registration) {
    if (!labels) return;
    const Geometry& grid = registration.geometry.fixed;
    files.push_back(labels_file(
        deformed_labels_path(pair.output_stem), grid,
        carried_to(grid, *labels, registration, Interpolation::nearest, std::nullopt, pair.general.threads)));
}

void append(std::vector<PendingFile>& files, std::vector<PendingFile> more) {
    std::move(more.begin(), more.end(), std::back_inserter(files));
}

std::string percent(double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f %%", 100 * share);
    return text;
}

}  // namespace

void run_linear(const LinearOptions& options) {
    const PairOptions& pair = options.pair;
    require_writable(matrix_path(pair.output_stem));
    const PairGeometry geometry = geometry_of(pair);
    const Size3 size = geometry.registration.size;
    const std::string work = "registering " + text_of(size) + " voxels";
    const LinearSettings settings = linear_settings(pair, options.levels, options.rigid, geometry);
    require_memory(pair.general, work, with_names(pair, "", [&] { return memory_need_linear(size, settings); }));

    const LoadedPair loaded = loaded_pair(pair);
    const PreparedPair& prepared = loaded.prepared;
    Registration registration;
    registration.geometry = prepared.geometry;
    registration.affine =
        with_names(pair, "", [&] { return register_linear(prepared.fixed, prepared.moving, settings); });

    std::vector<PendingFile> files = matrix_files(pair.output_stem, registration.affine, registration.geometry);
    append_labels(files, pair, loaded.moving_labels, registration);
    commit_all(files);
    say(pair.general, "wrote " + matrix_path(pair.output_stem));
}

void run_register(const RegisterOptions& options) {
    const PairOptions& pair = options.pair;
    const std::string& stem = pair.output_stem;
    require_writable(displacements_path(stem));
    const PairGeometry geometry = geometry_of(pair);
    const Size3 size = geometry.registration.size;
    const std::string work = "registering " + text_of(size) + " voxels";
    const LinearSettings linear = linear_settings(pair, options.linear_levels, options.rigid, geometry);
    const RegistrationSettings settings = deformable_settings(options);
    require_memory(pair.general, work, with_names(pair, "", [&] { return memory_need_deformable(size, settings); }));
    if (options.linear_first) {
        require_memory(pair.general, work, with_names(pair, "linear-", [&] { return memory_need_linear(size, linear); }));
    }

    Registration registration;
    if (!options.affine.empty()) registration.affine = read_matrix_for(options.affine, geometry);
    const LoadedPair loaded = loaded_pair(pair);
    const PreparedPair& prepared = loaded.prepared;
    registration.geometry = prepared.geometry;
    if (options.linear_first) {
        registration.affine =
            with_names(pair, "linear-", [&] { return register_linear(prepared.fixed, prepared.moving, linear); });
    }
    DeformableResult result = with_names(pair, "", [&] {
        return register_deformable(prepared.fixed, prepared.moving, registration.affine, settings);
    });
    registration.field = std::move(result.forward);

    std::vector<PendingFile> files = displacement_files(stem, registration);
    if (options.linear_first) append(files, matrix_files(stem, registration.affine, registration.geometry));
    if (!options.without_image) {
        files.push_back(image_file(deformed_path(stem), registration.geometry.fixed,
                                   deformed_image(loaded.moving, registration, pair.general.threads), VoxelType::float32));
    }
    append_labels(files, pair, loaded.moving_labels, registration);
    commit_all(files);
    say(pair.general, "Jacobian determinant: standard deviation " + std::to_string(result.stdev_jacobian) +
                          ", folded control points " + percent(result.folding_share));
    say(pair.general, "wrote " + displacements_path(stem));
}

}  // namespace deeds
