// What:          options of the commands that estimate a mapping: linear and register.
// Source:        this project; short spellings as published with the method.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#include "command_options.hpp"
#include "errors.hpp"

namespace deeds {
namespace {

void add_pair(CommandParser& parser, PairOptions& options) {
    parser.require("--fixed", "-F", "IMAGE", "fixed image, .nii or .nii.gz", text_into(options.fixed));
    parser.require("--moving", "-M", "IMAGE", "moving image", text_into(options.moving));
    parser.require("--output", "-O", "STEM", "outputs are named STEM_...", text_into(options.output_stem));
    parser.allow("--labels", "-S", "IMAGE", "label map of the moving image, carried along as STEM_deformed_seg.nii.gz", text_into(options.moving_labels));
    parser.allow("--spacing", "", "MM", "register on an isotropic grid (default: the grid of the fixed image)", positive_into(options.spacing_mm));
    parser.allow("--resample", "", "", "images may differ in size: the moving one is carried to the fixed grid", flag_into(options.resample));
    parser.allow("--as-stored", "", "", "ignore orientation and position in the headers: voxel to voxel", flag_into(options.as_stored));
    parser.allow("--align-centres", "", "", "begin with the image centres on one another, not in world coordinates", flag_into(options.align_centres));
    parser.allow("--background", "", "VALUE", "intensity outside the images (default -1024)", real_into(options.background));
    parser.allow("--intensity-offset", "", "VALUE", "added to both images before anything else is done with them (default 0)", real_into(options.intensity_offset));
}

void add_levels(CommandParser& parser, const std::string& prefix, bool published, LevelLists& levels) {
    const auto letter = [published](const char* name) { return published ? std::string(name) : std::string(); };
    parser.allow("--" + prefix + "grid-spacing", letter("-G"), "AxBxC", "voxels between control points, coarse to fine", list_into(levels.grid_spacing, most_grid_spacing));
    parser.allow("--" + prefix + "search-radius", letter("-L"), "AxBxC", "displacement steps to either side", list_into(levels.search_radius, most_search_radius));
    parser.allow("--" + prefix + "quantization", letter("-Q"), "AxBxC", "voxels of one displacement step", list_into(levels.quantization, most_quantization));
}

void require_equal_counts(const std::string& prefix, const LevelLists& levels, int count) {
    const auto text = [](const std::vector<int>& entries) {
        std::string joined;
        for (const int entry : entries) joined += (joined.empty() ? "" : "x") + std::to_string(entry);
        return joined + " (" + std::to_string(entries.size()) + " levels)";
    };
    const std::size_t levels_of_grid = levels.grid_spacing.size();
    if (levels.search_radius.size() != levels_of_grid)
        throw OptionError("--" + prefix + "search-radius", text(levels.search_radius) + " and --" + prefix + "grid-spacing " + text(levels.grid_spacing) + " differ in length");
    if (levels.quantization.size() != levels_of_grid)
        throw OptionError("--" + prefix + "quantization", text(levels.quantization) + " and --" + prefix + "grid-spacing " + text(levels.grid_spacing) + " differ in length");
    if (count > 0 && static_cast<std::size_t>(count) != levels_of_grid)
        throw OptionError("--levels", std::to_string(count) + " and --grid-spacing " + text(levels.grid_spacing) + " differ");
}

void check_pair(const CommandParser& parser) {
    for (const char* other : {"--spacing", "--resample", "--align-centres"}) parser.exclude("--as-stored", other);
}

LevelLists linear_defaults() { return {{7, 6, 5, 4}, {5, 4, 3, 2}, {4, 3, 2, 1}}; }

}  // namespace

CommandOptions linear_command(const std::vector<std::string>& arguments) {
    LinearOptions options;
    options.levels = linear_defaults();
    int levels = 0, rigid_number = 0;
    CommandParser parser("linear", "affine or rigid registration; writes STEM_matrix.txt and its sidecar STEM_matrix.json");
    add_pair(parser, options.pair);
    add_levels(parser, "", true, options.levels);
    parser.allow("--levels", "-l", "N", "number of levels; must agree with the lists", whole_into(levels, 1, most_levels));
    parser.allow("--rigid", "", "", "rotation and translation only", flag_into(options.rigid));
    parser.allow("--rigid-number", "-R", "0|1", "1 is --rigid, as published", whole_into(rigid_number, 0, 1));
    add_general(parser, options.pair.general, Reads::images);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    check_pair(parser);
    require_equal_counts("", options.levels, levels);
    options.rigid = options.rigid || rigid_number == 1;
    return options;
}

CommandOptions register_command(const std::vector<std::string>& arguments) {
    RegisterOptions options;
    options.levels = {{8, 7, 6, 5, 4}, {8, 7, 6, 5, 4}, {5, 4, 3, 2, 1}};
    options.linear_levels = linear_defaults();
    int levels = 0, rigid_number = 0;
    CommandParser parser("register",
                         "deformable registration; writes STEM_displacements.dat with sidecar .json and STEM_deformed.nii.gz");
    add_pair(parser, options.pair);
    add_levels(parser, "", true, options.levels);
    parser.allow("--levels", "-l", "N", "number of levels; must agree with the lists", whole_into(levels, 1, most_levels));
    parser.allow("--alpha", "-a", "VALUE", "weight of smoothness (default 1.6)", positive_into(options.alpha));
    parser.allow("--affine", "-A", "FILE", "begin with this affine mapping, STEM_matrix.txt of deeds linear", text_into(options.affine));
    parser.allow("--without-image", "", "", "write the field alone, not STEM_deformed.nii.gz", flag_into(options.without_image));
    parser.allow("--linear", "", "", "begin with an affine registration in the same call; writes STEM_matrix.txt too", flag_into(options.linear_first));
    parser.allow("--rigid", "", "", "begin with a rigid registration in the same call", flag_into(options.rigid));
    parser.allow("--rigid-number", "-R", "0|1", "1 is --rigid", whole_into(rigid_number, 0, 1));
    add_levels(parser, "linear-", false, options.linear_levels);
    add_general(parser, options.pair.general, Reads::images);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    check_pair(parser);
    parser.exclude("--affine", "--linear");
    options.rigid = options.rigid || rigid_number == 1;
    if (options.rigid && !options.affine.empty()) throw OptionError("--affine", "cannot be combined with --rigid");
    options.linear_first = options.linear_first || options.rigid;
    for (const char* name : {"--linear-grid-spacing", "--linear-search-radius", "--linear-quantization"})
        if (parser.given(name) && !options.linear_first) throw OptionError(name, "needs --linear or --rigid");
    require_equal_counts("", options.levels, levels);
    require_equal_counts("linear-", options.linear_levels, 0);
    return options;
}

}  // namespace deeds
