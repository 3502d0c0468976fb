// What:          options of the commands that use a finished registration: apply, points, field.
// Source:        this project; short spellings as published with the method.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#include "command_options.hpp"
#include "errors.hpp"

namespace deeds {
namespace {

void add_transform(CommandParser& parser, TransformOptions& options, Reads reads) {
    parser.allow("--field", "-O", "STEM", "registration STEM_displacements.dat and .json", text_into(options.stem));
    parser.allow("--affine", "-A", "FILE", "affine mapping, STEM_matrix.txt; alone, or with a field that has no sidecar", text_into(options.affine));
    parser.allow("--fixed", "-F", "IMAGE", "image whose grid the output gets (default: the registered fixed image's)", text_into(options.fixed));
    parser.allow("--registration-image", "", "IMAGE", "without a sidecar: image on whose grid was registered (default: --fixed)", text_into(options.registration_image));
    parser.allow("--grid-spacing", "-G", "N", "without a sidecar: finest grid spacing of the registration", whole_into(options.grid_spacing, 1, most_grid_spacing));
    add_general(parser, options.general, reads);
}

void check_transform(const TransformOptions& options) {
    if (options.stem.empty() && options.affine.empty()) throw OptionError("--field (-O)", "is missing, and so is --affine (-A): one of them is needed");
}

}  // namespace

CommandOptions apply_command(const std::vector<std::string>& arguments) {
    ApplyOptions options;
    CommandParser parser("apply", "carry an image or a label map onto the fixed image's grid");
    parser.require("--moving", "-M", "IMAGE", "image of the moving side, in any geometry", text_into(options.moving));
    parser.require("--output", "-D", "IMAGE", "result, .nii or .nii.gz", text_into(options.output));
    parser.allow("--labels", "", "", "the image is a label map: nearest neighbour", flag_into(options.labels));
    parser.allow("--background", "", "VALUE", "value outside the moving image (default: the nearest voxel inside)", real_into(options.background));
    add_transform(parser, options.transform, Reads::images);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    check_transform(options.transform);
    return options;
}

CommandOptions points_command(const std::vector<std::string>& arguments) {
    PointsOptions options;
    std::string direction = "fixed-to-moving", axes = "ras";
    CommandParser parser("points", "carry points in mm from one image to the other");
    parser.require("--input", "", "CSV", "table with columns x_mm, y_mm, z_mm; other columns are kept", text_into(options.input));
    parser.require("--output", "", "CSV", "the same table with the points carried over", text_into(options.output));
    parser.allow("--direction", "", "WHICH", "fixed-to-moving (default) or moving-to-fixed", text_into(direction));
    parser.allow("--axes", "", "ras|lps", "meaning of the coordinates (default ras)", text_into(axes));
    add_transform(parser, options.transform, Reads::points);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    check_transform(options.transform);
    if (direction != "fixed-to-moving" && direction != "moving-to-fixed")
        throw OptionError("--direction", "\"" + direction + "\" is neither fixed-to-moving nor moving-to-fixed");
    if (axes != "ras" && axes != "lps") throw OptionError("--axes", "\"" + axes + "\" is neither ras nor lps");
    options.to_fixed = direction == "moving-to-fixed";
    options.lps = axes == "lps";
    return options;
}

CommandOptions field_command(const std::vector<std::string>& arguments) {
    FieldOptions options;
    CommandParser parser("field", "write the composed mapping as a displacement field in mm (LPS, as ITK reads it)");
    parser.allow("--displacements", "-D", "IMAGE", "fixed to moving, on the fixed grid: resamples the moving image", text_into(options.displacements));
    parser.allow("--inverse", "", "IMAGE", "moving to fixed, on the moving image's grid", text_into(options.inverse));
    parser.allow("--jacobian", "", "IMAGE", "determinant of the Jacobian on the fixed grid", text_into(options.jacobian));
    parser.allow("--moving", "-M", "IMAGE", "image whose grid the inverse gets (default: the registered moving image's)", text_into(options.moving));
    add_transform(parser, options.transform, Reads::grids);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    check_transform(options.transform);
    if (options.displacements.empty() && options.inverse.empty() && options.jacobian.empty())
        throw OptionError("--displacements (-D)", "is missing, and so are --inverse and --jacobian: nothing to write");
    return options;
}

}  // namespace deeds
