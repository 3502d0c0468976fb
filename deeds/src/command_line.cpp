// What:          the commands by name, and the help of the program.
// Source:        this project.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#include "command_line.hpp"

#include "command_options.hpp"
#include "errors.hpp"

namespace deeds {

void add_general(CommandParser& parser, GeneralOptions& options, Reads reads) {
    if (reads == Reads::images) {
        parser.allow("--volume", "", "N", "volume of a four-dimensional image, counted from 0", [&options](const std::string& shown, const std::string& value) {
            options.volume = whole_number(shown, value, 0, 32766);
        });
    }
    if (reads == Reads::images || reads == Reads::vectors)
        parser.allow("--nan-to", "", "VALUE", "replace NaN and infinite numbers (otherwise refused)", real_into(options.nan_to));
    if (reads != Reads::points)
        parser.allow("--memory-limit", "", "MIB", "refuse work that needs more (default: the memory of the machine)", positive_into(options.memory_limit_mib));
    parser.allow("--threads", "", "N", "threads to use (default 1)", whole_into(options.threads, 1, 1024));
    parser.allow("--quiet", "", "", "print errors only", flag_into(options.quiet));
}

namespace {

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

std::string names() {
    std::string text;
    for (const Command& command : commands) text += (text.empty() ? "" : ", ") + std::string(command.name);
    return text;
}

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
    if (arguments.empty()) throw OptionError("command", "is missing, one of " + names() + " (deeds --help)");
    if (arguments[0] == "--help" || arguments[0] == "-h") return HelpRequest{overview()};
    if (arguments[0] == "--version") return HelpRequest{std::string("deeds ") + program_version() + "\n"};
    for (const Command& command : commands)
        if (arguments[0] == command.name) return command.parse(arguments);
    throw OptionError("\"" + arguments[0] + "\"", "is not a command of deeds (" + names() + ")");
}

}  // namespace deeds
