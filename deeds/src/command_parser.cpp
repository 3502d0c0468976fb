// What:          see command_parser.hpp.
// Source:        see command_parser.hpp.
// Complexity:    see command_parser.hpp.
// Thread safety: see command_parser.hpp.
#include "command_parser.hpp"

#include "errors.hpp"

namespace deeds {

void CommandParser::require(std::string name, std::string short_name, std::string value, std::string help, Setter set) {
    options_.push_back({std::move(name), std::move(short_name), std::move(value), std::move(help), std::move(set), true});
}

void CommandParser::allow(std::string name, std::string short_name, std::string value, std::string help, Setter set) {
    options_.push_back({std::move(name), std::move(short_name), std::move(value), std::move(help), std::move(set)});
}

bool CommandParser::parse(const std::vector<std::string>& arguments) {
    for (std::size_t n = 1; n < arguments.size(); ++n)
        if (arguments[n] == "--help" || arguments[n] == "-h") return false;
    for (std::size_t n = 1; n < arguments.size(); ++n) take(arguments, n);
    for (const Option& option : options_)
        if (option.required && !option.given) throw OptionError(option.spelled(), "is missing");
    return true;
}

bool CommandParser::given(const std::string& name) const {
    for (const Option& option : options_)
        if (option.name == name) return option.given;
    return false;
}

void CommandParser::exclude(const std::string& first, const std::string& second) const {
    if (given(first) && given(second)) throw OptionError(first, "cannot be combined with " + second);
}

std::string CommandParser::help() const {
    std::string text = "deeds " + command_ + " - " + summary_ + "\n\n";
    for (const bool required : {true, false}) {
        text += required ? "Required:\n" : "\nOptional:\n";
        for (const Option& option : options_)
            if (option.required == required) text += line_of(option);
    }
    return text;
}

std::string CommandParser::line_of(const Option& option) {
    constexpr std::size_t help_column = 34;
    std::string text = "  " + (option.short_name.empty() ? std::string("    ") : option.short_name + ", ") + option.name;
    if (!option.value.empty()) text += " " + option.value;
    text += text.size() < help_column ? std::string(help_column - text.size(), ' ') : "\n" + std::string(help_column, ' ');
    return text + option.help + "\n";
}

void CommandParser::take(const std::vector<std::string>& arguments, std::size_t& n) {
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

}  // namespace deeds
