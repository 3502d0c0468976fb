// What:          values of options: what takes the text of one, checks it and stores it.
// Source:        this project.
// Complexity:    linear in the arguments.
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace deeds {

constexpr std::size_t most_levels = 10;
constexpr std::int64_t most_grid_spacing = 1000;
constexpr std::int64_t most_search_radius = 50;
constexpr std::int64_t most_quantization = 100;
constexpr std::int64_t most_steps = 1000;

/// Stores a value, or throws OptionError. `shown` is the option as the user wrote it.
using Setter = std::function<void(const std::string& shown, const std::string& value)>;

double real_number(const std::string& shown, const std::string& value);
std::int64_t whole_number(const std::string& shown, const std::string& value, std::int64_t least, std::int64_t most);

Setter text_into(std::string& target);  ///< not empty
Setter flag_into(bool& target);
Setter positive_into(double& target);
Setter not_negative_into(double& target);

/// "5x4x3": at most ten entries from 1 to `most`.
Setter list_into(std::vector<int>& target, std::int64_t most);

/// "3x0": every entry is set as one value would be.
Setter reals_into(std::vector<double>& target, Setter (*into)(double&));

template <class Target>
Setter real_into(Target& target) {
    return [&target](const std::string& shown, const std::string& value) { target = real_number(shown, value); };
}

template <class Target>
Setter whole_into(Target& target, std::int64_t least, std::int64_t most) {
    return [&target, least, most](const std::string& shown, const std::string& value) {
        target = static_cast<Target>(whole_number(shown, value, least, most));
    };
}

}  // namespace deeds
