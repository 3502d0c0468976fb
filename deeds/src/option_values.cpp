// What:          see option_values.hpp.
// Source:        see option_values.hpp.
// Complexity:    see option_values.hpp.
// Thread safety: see option_values.hpp.
#include "option_values.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>

#include "errors.hpp"

namespace deeds {

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

Setter flag_into(bool& target) {
    return [&target](const std::string&, const std::string&) { target = true; };
}

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

}  // namespace deeds
