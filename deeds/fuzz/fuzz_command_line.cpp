// Fuzz target: any arguments (separated by zero bytes) are either options or refused with an exception, and options keep their promises.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "command_line.hpp"
#include "errors.hpp"

namespace {

void require(bool holds) {
    if (!holds) __builtin_trap();
}

void check(const deeds::LevelLists& levels) {
    require(!levels.grid_spacing.empty() && levels.grid_spacing.size() == levels.search_radius.size() &&
            levels.grid_spacing.size() == levels.quantization.size());
    for (const auto* list : {&levels.grid_spacing, &levels.search_radius, &levels.quantization})
        for (const int entry : *list) require(entry >= 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::string> arguments;
    std::string argument;
    for (std::size_t n = 0; n < size; ++n) {
        if (data[n] != 0) {
            argument += static_cast<char>(data[n]);
            continue;
        }
        arguments.push_back(argument);
        argument.clear();
    }
    if (!argument.empty()) arguments.push_back(argument);
    try {
        const deeds::CommandOptions options = deeds::parse_command_line(arguments);
        if (const auto* linear = std::get_if<deeds::LinearOptions>(&options)) check(linear->levels);
        if (const auto* deformable = std::get_if<deeds::RegisterOptions>(&options)) {
            check(deformable->levels);
            check(deformable->linear_levels);
            require(deformable->alpha > 0 && std::isfinite(deformable->alpha) && deformable->pair.general.threads >= 1);
        }
    } catch (const deeds::UserError&) {
    }
    return 0;
}
