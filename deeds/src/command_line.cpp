// What:          the strict parser of the command line and the texts of --help.
// Source:        this project; short spellings as published with the method.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#include "command_line.hpp"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <utility>

#include "errors.hpp"

namespace deeds {
namespace {

constexpr std::size_t most_levels = 10;
constexpr std::int64_t most_grid_spacing = 1000;
constexpr std::int64_t most_search_radius = 50;
constexpr std::int64_t most_quantization = 100;
constexpr std::int64_t most_steps = 1000;

// ---------------------------------------------------------------------------------------------------------------------
// Values. `shown` is the option as the user wrote it.

using Setter = std::function<void(const std::string& shown, const std::string& value)>;

double real_number(const std::string& shown, const std::string& value) {
    const bool plain = value.find_first_not_of("+-.0123456789eE") == std::string::npos;
    char* rest = nullptr;
    const double number = std::strtod(value.c_str(), &rest);
    if (value.empty() || !plain || *rest != '\0') throw OptionError(shown, "\"" + value + "\" is not a number");
    if (!(std::fabs(number) <= static_cast<double>(std::numeric_limits<float>::max())))
        throw OptionError(shown, "\"" + value + "\" is not a finite number");
    return number;
}

std::int64_t whole_number(const std::string& shown, const std::string& value, std::int64_t least, std::int64_t most) {
    const bool plain = !value.empty() && value.size() <= 18 && value.find_first_not_of("0123456789", value[0] == '-' ? 1 : 0) == std::string::npos;
    if (!plain || value == "-") throw OptionError(shown, "\"" + value + "\" is not a whole number");
    const std::int64_t number = std::strtoll(value.c_str(), nullptr, 10);
    if (number < least || number > most)
        throw OptionError(shown, value + " is not in " + std::to_string(least) + " to " + std::to_string(most));
    return number;
}

Setter text_into(std::string& target) {
    return [&target](const std::string& shown, const std::string& value) {
        if (value.empty()) throw OptionError(shown, "is empty");
        target = value;
    };
}

template <class Target>
Setter real_into(Target& target) {
    return [&target](const std::string& shown, const std::string& value) { target = real_number(shown, value); };
}

Setter positive_into(double& target) {
    return [&target](const std::string& shown, const std::string& value) {
        const double number = real_number(shown, value);
        if (!(number > 0)) throw OptionError(shown, value + " is not greater than 0");
        target = number;
    };
}

Setter not_negative_into(double& target) {
    return [&target](const std::string& shown, const std::string& value) {
        const double number = real_number(shown, value);
        if (number < 0) throw OptionError(shown, value + " is less than 0");
        target = number;
    };
}

template <class Target>
Setter whole_into(Target& target, std::int64_t least, std::int64_t most) {
    return [&target, least, most](const std::string& shown, const std::string& value) {
        target = static_cast<Target>(whole_number(shown, value, least, most));
    };
}

Setter flag_into(bool& target) {
    return [&target](const std::string&, const std::string&) { target = true; };
}

/// "5x4x3".
Setter list_into(std::vector<int>& target, std::int64_t most) {
    return [&target, most](const std::string& shown, const std::string& value) {
        std::vector<int> entries;
        std::size_t start = 0;
        for (std::size_t end = 0; end != std::string::npos; start = end + 1) {
            end = value.find('x', start);
            const std::string entry = value.substr(start, end == std::string::npos ? end : end - start);
            const bool digits = !entry.empty() && entry.size() <= 9 && entry.find_first_not_of("-0123456789") == std::string::npos;
            if (!digits) throw OptionError(shown, "\"" + value + "\" is not a list such as 5x4x3");
            const std::int64_t number = whole_number(shown, entry, std::numeric_limits<int>::min(), std::numeric_limits<int>::max());
            if (number < 1 || number > most) throw OptionError(shown, value + " has an entry that is not in 1 to " + std::to_string(most));
            entries.push_back(static_cast<int>(number));
        }
        if (entries.size() > most_levels)
            throw OptionError(shown, value + " has " + std::to_string(entries.size()) + " entries, at most " + std::to_string(most_levels) + " are possible");
        target = std::move(entries);
    };
}

/// "3x0": every entry is set as one value would be.
Setter reals_into(std::vector<double>& target, Setter (*into)(double&)) {
    return [&target, into](const std::string& shown, const std::string& value) {
        std::vector<double> entries;
        std::size_t start = 0;
        for (std::size_t end = 0; end != std::string::npos; start = end + 1) {
            end = value.find('x', start);
            double entry = 0;
            into(entry)(shown, value.substr(start, end == std::string::npos ? end : end - start));
            entries.push_back(entry);
        }
        target = std::move(entries);
    };
}

// ---------------------------------------------------------------------------------------------------------------------
// Options of a command

struct Option {
    std::string name;        ///< "--fixed"
    std::string short_name;  ///< "-F" or empty
    std::string value;       ///< name of its value in the help; empty for a switch
    std::string help;
    Setter set;
    bool required = false;
    bool given = false;

    std::string spelled() const { return short_name.empty() ? name : name + " (" + short_name + ")"; }
};

class CommandParser {
  public:
    CommandParser(std::string command, std::string summary) : command_(std::move(command)), summary_(std::move(summary)) {}

    void require(std::string name, std::string short_name, std::string value, std::string help, Setter set) {
        options_.push_back({std::move(name), std::move(short_name), std::move(value), std::move(help), std::move(set), true});
    }
    void allow(std::string name, std::string short_name, std::string value, std::string help, Setter set) {
        options_.push_back({std::move(name), std::move(short_name), std::move(value), std::move(help), std::move(set)});
    }

    /// Whether the options were taken; false when help was asked for.
    bool parse(const std::vector<std::string>& arguments) {
        for (std::size_t n = 1; n < arguments.size(); ++n)
            if (arguments[n] == "--help" || arguments[n] == "-h") return false;
        for (std::size_t n = 1; n < arguments.size(); ++n) take(arguments, n);
        for (const Option& option : options_)
            if (option.required && !option.given) throw OptionError(option.spelled(), "is missing");
        return true;
    }

    bool given(const std::string& name) const {
        for (const Option& option : options_)
            if (option.name == name) return option.given;
        return false;
    }

    /// Refuses options that contradict one another.
    void exclude(const std::string& first, const std::string& second) const {
        if (given(first) && given(second)) throw OptionError(first, "cannot be combined with " + second);
    }

    std::string help() const {
        std::string text = "deeds " + command_ + " - " + summary_ + "\n\n";
        for (const bool required : {true, false}) {
            text += required ? "Required:\n" : "\nOptional:\n";
            for (const Option& option : options_)
                if (option.required == required) text += line_of(option);
        }
        return text;
    }

  private:
    static std::string line_of(const Option& option) {
        constexpr std::size_t help_column = 34;
        std::string text = "  " + (option.short_name.empty() ? std::string("    ") : option.short_name + ", ") + option.name;
        if (!option.value.empty()) text += " " + option.value;
        text += text.size() < help_column ? std::string(help_column - text.size(), ' ') : "\n" + std::string(help_column, ' ');
        return text + option.help + "\n";
    }

    void take(const std::vector<std::string>& arguments, std::size_t& n) {
        const std::string& argument = arguments[n];
        const std::size_t equals = argument.rfind("--", 0) == 0 ? argument.find('=') : std::string::npos;
        const std::string shown = argument.substr(0, equals);
        Option* found = nullptr;
        for (Option& option : options_)
            if (shown == option.name || (!option.short_name.empty() && shown == option.short_name)) found = &option;
        if (found == nullptr) throw OptionError("\"" + argument + "\"", "is not an option of deeds " + command_ + " (deeds " + command_ + " --help)");
        if (found->given) throw OptionError(shown, "is given twice");
        found->given = true;
        if (found->value.empty()) {
            if (equals != std::string::npos) throw OptionError(shown, "takes no value, \"" + argument.substr(equals + 1) + "\" was given");
            found->set(shown, {});
        } else if (equals != std::string::npos) {
            found->set(shown, argument.substr(equals + 1));
        } else {
            if (n + 1 >= arguments.size()) throw OptionError(shown, "needs a value (" + found->value + ")");
            found->set(shown, arguments[++n]);
        }
    }

    std::string command_;
    std::string summary_;
    std::vector<Option> options_;
};

void add_general(CommandParser& parser, GeneralOptions& options, bool reads_voxels) {
    if (reads_voxels) {
        parser.allow("--volume", "", "N", "volume of a four-dimensional image, counted from 0", [&options](const std::string& shown, const std::string& value) {
            options.volume = whole_number(shown, value, 0, 32766);
        });
        parser.allow("--nan-to", "", "VALUE", "replace NaN and infinite voxels (otherwise refused)", real_into(options.nan_to));
        parser.allow("--memory-limit", "", "MIB", "refuse work that needs more (default: the memory of the machine)", positive_into(options.memory_limit_mib));
    }
    parser.allow("--threads", "", "N", "threads to use (default 1)", whole_into(options.threads, 1, 1024));
    parser.allow("--quiet", "", "", "print errors only", flag_into(options.quiet));
}

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

void add_transform(CommandParser& parser, TransformOptions& options, bool reads_voxels) {
    parser.allow("--field", "-O", "STEM", "registration STEM_displacements.dat and .json", text_into(options.stem));
    parser.allow("--affine", "-A", "FILE", "affine mapping, STEM_matrix.txt; alone, or with a field that has no sidecar", text_into(options.affine));
    parser.allow("--fixed", "-F", "IMAGE", "image whose grid the output gets (default: the registered fixed image's)", text_into(options.fixed));
    parser.allow("--registration-image", "", "IMAGE", "without a sidecar: image on whose grid was registered (default: --fixed)", text_into(options.registration_image));
    parser.allow("--grid-spacing", "-G", "N", "without a sidecar: finest grid spacing of the registration", whole_into(options.grid_spacing, 1, most_grid_spacing));
    add_general(parser, options.general, reads_voxels);
}

void check_transform(const TransformOptions& options) {
    if (options.stem.empty() && options.affine.empty()) throw OptionError("--field (-O)", "is missing, and so is --affine (-A): one of them is needed");
}

// ---------------------------------------------------------------------------------------------------------------------
// The commands

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
    add_general(parser, options.pair.general, true);
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
    add_general(parser, options.pair.general, true);
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

CommandOptions apply_command(const std::vector<std::string>& arguments) {
    ApplyOptions options;
    CommandParser parser("apply", "carry an image or a label map onto the fixed image's grid");
    parser.require("--moving", "-M", "IMAGE", "image of the moving side, in any geometry", text_into(options.moving));
    parser.require("--output", "-D", "IMAGE", "result, .nii or .nii.gz", text_into(options.output));
    parser.allow("--labels", "", "", "the image is a label map: nearest neighbour", flag_into(options.labels));
    parser.allow("--background", "", "VALUE", "value outside the moving image (default: the nearest voxel inside)", real_into(options.background));
    add_transform(parser, options.transform, true);
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
    add_transform(parser, options.transform, false);
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
    add_transform(parser, options.transform, false);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    check_transform(options.transform);
    if (options.displacements.empty() && options.inverse.empty() && options.jacobian.empty())
        throw OptionError("--displacements (-D)", "is missing, and so are --inverse and --jacobian: nothing to write");
    return options;
}

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
    add_general(parser, options.general, true);
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
    parser.allow("--nan-to", "", "VALUE", "replace NaN and infinite numbers (otherwise refused)", real_into(options.general.nan_to));
    parser.allow("--memory-limit", "", "MIB", "refuse work that needs more (default: the memory of the machine)", positive_into(options.general.memory_limit_mib));
    add_general(parser, options.general, false);
    if (!parser.parse(arguments)) return HelpRequest{parser.help()};
    return options;
}

struct Command {
    const char* name;
    const char* summary;
    CommandOptions (*parse)(const std::vector<std::string>&);
};

constexpr Command commands[] = {
    {"linear", "affine or rigid registration", linear_command},
    {"register", "deformable registration, with an affine one before it if wanted", register_command},
    {"apply", "carry an image or a label map onto the fixed image's grid", apply_command},
    {"points", "carry points in mm from one image to the other", points_command},
    {"field", "displacement field in mm, its inverse, Jacobian determinant", field_command},
    {"descend", "take a registration of two images of one contrast below a voxel", descend_command},
    {"invert", "inverse of a displacement field in mm", invert_command},
};

std::string overview() {
    std::string text = std::string("deeds ") + program_version() +
                       " - registration of three-dimensional images by dense displacement sampling\n\nCommands:\n";
    for (const Command& command : commands)
        text += "  " + std::string(command.name) + std::string(10 - std::string(command.name).size(), ' ') + command.summary + "\n";
    return text + "\ndeeds COMMAND --help lists the options of a command; deeds --version prints the version.\n"
                  "Exit status: 0 done, 2 wrong input (one line says which file or option).\n";
}

}  // namespace

const char* program_version() { return "0.2.0"; }

CommandOptions parse_command_line(const std::vector<std::string>& arguments) {
    if (arguments.empty()) throw OptionError("command", "is missing: linear, register, apply, points, field, descend or invert (deeds --help)");
    if (arguments[0] == "--help" || arguments[0] == "-h") return HelpRequest{overview()};
    if (arguments[0] == "--version") return HelpRequest{std::string("deeds ") + program_version() + "\n"};
    for (const Command& command : commands)
        if (arguments[0] == command.name) return command.parse(arguments);
    throw OptionError("\"" + arguments[0] + "\"", "is not a command of deeds (linear, register, apply, points, field, descend, invert)");
}

}  // namespace deeds
