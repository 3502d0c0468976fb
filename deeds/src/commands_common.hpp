// What:          what the commands have in common: reading as asked for, the memory they may take, what they say.
// Source:        this project.
// Complexity:    constant.
// Thread safety: pure functions, but for what is printed.
#pragma once

#include <cstdint>
#include <string>

#include "command_line.hpp"
#include "nifti.hpp"

namespace deeds {

/// How images are read that are counted by the bytes the work takes for a voxel of theirs.
ReadOptions read_options(const GeneralOptions& options, std::int64_t bytes_of_voxel = sizeof(float));

/// Throws OptionError where work ("registering 56x52x48 voxels") takes more than it may.
void require_memory(const GeneralOptions& options, const std::string& work, std::int64_t bytes);

/// A line for the user, unless it is to be quiet.
void say(const GeneralOptions& options, const std::string& line);

/// A line that also a quiet command prints.
void warn(const std::string& line);

}  // namespace deeds
