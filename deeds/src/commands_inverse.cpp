// What:          the command that inverts a displacement field in a file: invert.
// Source:        this project; displacement fields as ITK reads them (intent 1007, LPS components, mm).
// Complexity:    that of the inverse.
// Thread safety: each command owns its data.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "field_inverse.hpp"
#include "nifti.hpp"

namespace deeds {
namespace {

/// Replaces vectors by their images under the linear part of a map, in place.
void turn(VoxelShift& vectors, const AffineVox& map) {
    for (std::size_t n = 0; n < vectors[0].values.size(); ++n) {
        const double from[3] = {vectors[0].values[n], vectors[1].values[n], vectors[2].values[n]};
        for (std::size_t row = 0; row < 3; ++row)
            vectors[row].values[n] = static_cast<float>(map.m[row][0] * from[0] + map.m[row][1] * from[1] + map.m[row][2] * from[2]);
    }
}

std::string in_mm(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.4g mm", value);
    return text;
}

}  // namespace

void run_invert(const InvertOptions& options) {
    const GeneralOptions& general = options.general;
    require_image_name(options.output);
    require_writable(options.output);
    VectorImage field = read_vectors(options.field, {general.nan_to, std::nullopt, static_cast<std::int64_t>(general.memory_limit_mib * (1 << 20)),
                                                     bytes_of_inverted_place});
    AffineVox to_lps = field.geometry.to_world;  // of voxels
    for (int row = 0; row < 2; ++row)
        for (double& value : to_lps.m[row]) value = -value;
    turn(field.parts, inverse(to_lps));
    InversionSettings settings;
    settings.tolerance_mm = options.tolerance_mm;
    settings.largest_steps = options.steps;
    settings.threads = general.threads;
    FieldInverse found = inverse_of(std::move(field.parts), field.geometry, settings);
    turn(found.shift, to_lps);
    vector_file(options.output, field.geometry, found.shift[0], found.shift[1], found.shift[2]).commit();
    if (found.unreached > 0)
        std::fprintf(stderr, "deeds: %s: the way there and back ends more than %s off at %lld of %lld places (it folds or stretches there), %s at most\n",
                     options.output.c_str(), in_mm(options.tolerance_mm).c_str(), static_cast<long long>(found.unreached),
                     static_cast<long long>(field.geometry.size.count()), in_mm(found.largest_mm).c_str());
    if (!general.quiet)
        std::printf("%s: inverse at %s places, %s off at most\n", options.output.c_str(), text_of(field.geometry.size).c_str(),
                    in_mm(found.largest_mm).c_str());
}

}  // namespace deeds
