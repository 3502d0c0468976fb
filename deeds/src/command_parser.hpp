// What:          the strict parser of the options of one command, and its help.
// Source:        this project.
// Complexity:    linear in the arguments.
// Thread safety: one parser is used by one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "option_values.hpp"

namespace deeds {

class CommandParser {
  public:
    CommandParser(std::string command, std::string summary) : command_(std::move(command)), summary_(std::move(summary)) {}

    /// An option "--fixed" with a short name ("-F" or empty); `value` is the name of its value in the help, empty for a switch.
    void require(std::string name, std::string short_name, std::string value, std::string help, Setter set);
    void allow(std::string name, std::string short_name, std::string value, std::string help, Setter set);

    /// Whether the options were taken; false when help was asked for. arguments[0] is the command. Throws OptionError.
    bool parse(const std::vector<std::string>& arguments);

    bool given(const std::string& name) const;

    /// Refuses options that contradict one another.
    void exclude(const std::string& first, const std::string& second) const;

    std::string help() const;

  private:
    struct Option {
        std::string name, short_name, value, help;
        Setter set;
        bool required = false;
        bool given = false;

        std::string spelled() const { return short_name.empty() ? name : name + " (" + short_name + ")"; }
    };

    static std::string line_of(const Option& option);
    void take(const std::vector<std::string>& arguments, std::size_t& n);

    std::string command_;
    std::string summary_;
    std::vector<Option> options_;
};

}  // namespace deeds
