// What:          the options of each command, from its arguments.
// Source:        this project; short spellings as published with the method.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include "command_line.hpp"
#include "command_parser.hpp"

namespace deeds {

/// What a command reads.
enum class Reads { points, grids, vectors, images };

/// Adds what every command understands, and how one reads.
void add_general(CommandParser& parser, GeneralOptions& options, Reads reads);

// arguments[0] is the command. Each throws OptionError, or returns a HelpRequest where help is asked for.
CommandOptions linear_command(const std::vector<std::string>& arguments);    // options_registration.cpp
CommandOptions register_command(const std::vector<std::string>& arguments);  // options_registration.cpp
CommandOptions apply_command(const std::vector<std::string>& arguments);     // options_transform.cpp
CommandOptions points_command(const std::vector<std::string>& arguments);    // options_transform.cpp
CommandOptions field_command(const std::vector<std::string>& arguments);     // options_transform.cpp
CommandOptions descend_command(const std::vector<std::string>& arguments);   // options_fields.cpp
CommandOptions invert_command(const std::vector<std::string>& arguments);    // options_fields.cpp

}  // namespace deeds
