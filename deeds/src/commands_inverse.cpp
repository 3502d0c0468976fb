// What:          the command that inverts a displacement field in a file: invert.
// Source:        this project; displacement fields as ITK reads them (intent 1007, LPS components, mm).
// Complexity:    that of the inverse.
// Thread safety: each command owns its data.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "commands_common.hpp"
#include "field_inverse.hpp"

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
    VectorImage field = read_vectors(options.field, read_options(general, bytes_of_inverted_place));
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
        warn(options.output + ": the way there and back ends more than " + in_mm(options.tolerance_mm) + " off at " +
             std::to_string(found.unreached) + " of " + std::to_string(field.geometry.size.count()) +
             " places (it folds or stretches there), " + in_mm(found.largest_mm) + " at most");
    say(general, options.output + ": inverse at " + text_of(field.geometry.size) + " places, " + in_mm(found.largest_mm) + " off at most");
}

}  // namespace deeds
