// What:          options of the commands that make one field of another: descend and invert.
// Source:        this project; short spellings as published with the method.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#include "command_options.hpp"
#include "errors.hpp"

namespace deeds {

CommandOptions descend_command(const std::vector<std::string>& arguments) {
    DescendOptions options;
    CommandParser parser("descend", "take a registration of two images of one contrast below a voxel; writes a displacement field in mm (LPS)");
    parser.require("--field", "-O", "STEM", "registration STEM_displacements.dat and .json to go on from", text_into(options.stem));
    parser.require("--fixed", "-F", "IMAGE", "fixed image on the grid to compare on: --control-step voxels a control point", text_into(options.fixed));
    parser.require("--moving", "-M", "IMAGE", "moving image, in any geometry; not finer than that grid", text_into(options.moving));
    parser.require("--displacements", "-D", "IMAGE", "result on the control points", text_into(options.displacements));
    parser.allow("--region", "", "MASK", "control points round which the images are compared (default: all)", text_into(options.region));
    parser.allow("--evidence", "", "STEM", "writes STEM_hold.nii (1/mm), STEM_step.nii (mm) and STEM_agreement.nii, too", text_into(options.evidence_stem));
    parser.allow("--control-step", "", "N", "voxels between control points (default 2)", whole_into(options.control_step, 1, 16));
    parser.allow("--smooth", "", "AxB", "mm, both images before a pass (default 3x0)", reals_into(options.smooth_mm, not_negative_into));
    parser.allow("--window", "", "AxB", "mm, window that decides on a control point in a pass (default 10x6)", reals_into(options.window_mm, positive_into));
    parser.allow("--steps", "", "AxB", "steps of a pass (default 3x4)", list_into(options.steps, most_steps));
    parser.allow("--contrast", "", "MM", "window within which mean and contrast are made alike (default 6)", positive_into(options.contrast_mm));
    parser.allow("--noise", "", "VALUE", "differences of intensity below this are noise (default 20)", positive_into(options.noise));
    parser.allow("--stiffness", "", "VALUE", "gradient over difference, squared, at which a step goes half its way (default 0.05)", positive_into(options.stiffness));
    parser.allow("--start-smooth", "", "MM", "takes the whole steps out of the field that is begun with (default 4)", not_negative_into(options.start_smooth_mm));
    parser.allow("--largest-step", "", "MM", "no step moves a place by more (default 4)", positive_into(options.largest_step_mm));
    parser.allow("--rough-window", "", "MM", "what a Gaussian mean of this deviation does not hold leaves the field with every step (default 0: nothing does)", not_negative_into(options.rough_window_mm));
    parser.allow("--wall", "", "MM", "what is much rougher is a wall along which tissue slides, and stays (default 0.4)", positive_into(options.wall_mm));
    add_general(parser, options.general, Reads::images);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    const std::size_t passes = options.steps.size();
    if (options.smooth_mm.size() != passes || options.window_mm.size() != passes)
        throw OptionError("--steps", "has " + std::to_string(passes) + " passes, --smooth " + std::to_string(options.smooth_mm.size()) +
                                         " and --window " + std::to_string(options.window_mm.size()));
    return options;
}

CommandOptions invert_command(const std::vector<std::string>& arguments) {
    InvertOptions options;
    CommandParser parser("invert", "write the inverse of a displacement field in mm (LPS), on its grid");
    parser.require("--field", "", "IMAGE", "displacement field, .nii or .nii.gz; zero beyond its grid", text_into(options.field));
    parser.require("--displacements", "-D", "IMAGE", "its inverse", text_into(options.output));
    parser.allow("--tolerance", "", "MM", "how far off the way there and back may end (default 0.001)", positive_into(options.tolerance_mm));
    parser.allow("--steps", "", "N", "of one place, at most (default 100)", whole_into(options.steps, 1, 10000));
    add_general(parser, options.general, Reads::vectors);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    return options;
}

}  // namespace deeds
