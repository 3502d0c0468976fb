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
    InversionSettings settings;
    settings.tolerance_mm = options.tolerance_mm;
    settings.largest_steps = options.steps;
    settings.threads = general.threads;
    const FieldInverse found = inverse_of_lps(std::move(field.parts), field.geometry, settings);
    vector_file(options.output, field.geometry, found.shift[0], found.shift[1], found.shift[2]).commit();
    if (found.unreached > 0)
        warn(options.output + ": the way there and back ends more than " + in_mm(options.tolerance_mm) + " off at " +
             std::to_string(found.unreached) + " of " + std::to_string(field.geometry.size.count()) +
             " places (it folds or stretches there), " + in_mm(found.largest_mm) + " at most");
    say(general, options.output + ": inverse at " + text_of(field.geometry.size) + " places, " + in_mm(found.largest_mm) + " off at most");
}

}  // namespace deeds
