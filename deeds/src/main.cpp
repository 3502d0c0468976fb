// What:          entry of the program: one command, its errors as one line, exit status 0 or 2.
// Source:        this project.
// Complexity:    that of the command.
// Thread safety: runs once.
#include <cctype>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "command_line.hpp"

namespace {

constexpr int status_wrong_input = 2;

void run(const deeds::CommandOptions& command) {
    std::visit(
        [](const auto& options) {
            using Options = std::decay_t<decltype(options)>;
            if constexpr (std::is_same_v<Options, deeds::HelpRequest>) std::fputs(options.text.c_str(), stdout);
            if constexpr (std::is_same_v<Options, deeds::LinearOptions>) deeds::run_linear(options);
            if constexpr (std::is_same_v<Options, deeds::RegisterOptions>) deeds::run_register(options);
            if constexpr (std::is_same_v<Options, deeds::ApplyOptions>) deeds::run_apply(options);
            if constexpr (std::is_same_v<Options, deeds::PointsOptions>) deeds::run_points(options);
            if constexpr (std::is_same_v<Options, deeds::FieldOptions>) deeds::run_field(options);
            if constexpr (std::is_same_v<Options, deeds::DescendOptions>) deeds::run_descend(options);
            if constexpr (std::is_same_v<Options, deeds::InvertOptions>) deeds::run_invert(options);
        },
        command);
}

int refused(std::string message) {
    for (char& character : message)
        if (std::iscntrl(static_cast<unsigned char>(character))) character = '?';
    std::fprintf(stderr, "deeds: %s\n", message.c_str());
    return status_wrong_input;
}

}  // namespace

int main(int count, char** arguments) {
    try {
        run(deeds::parse_command_line(std::vector<std::string>(arguments + (count > 0 ? 1 : 0), arguments + count)));
        return 0;
    } catch (const std::bad_alloc&) {
        return refused("not enough memory for this registration");
    } catch (const std::exception& error) {
        return refused(error.what());
    }
}
