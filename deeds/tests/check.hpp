// What:          the few checks the tests are written with; a failed one prints its line and fails the program.
// Source:        this project.
// Complexity:    constant.
// Thread safety: single-threaded.
#pragma once

#include <cmath>
#include <cstdio>
#include <exception>
#include <string>

inline int failed_checks = 0;

inline void check_that(bool holds, const char* text, const char* file, int line) {
    if (holds) return;
    ++failed_checks;
    std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
}

inline void check_near(double value, double expected, double tolerance, const char* text, const char* file, int line) {
    if (std::fabs(value - expected) <= tolerance) return;
    ++failed_checks;
    std::fprintf(stderr, "%s:%d: %s is %.9g, expected %.9g within %g\n", file, line, text, value, expected, tolerance);
}

/// The message an action is refused with must be one line that contains `part`.
template <class Action>
void check_refused(const Action& action, const std::string& part, const char* file, int line) {
    try {
        action();
    } catch (const std::exception& error) {
        const std::string message = error.what();
        if (message.find(part) != std::string::npos && message.find('\n') == std::string::npos) return;
        std::fprintf(stderr, "%s:%d: message \"%s\" does not contain \"%s\"\n", file, line, message.c_str(), part.c_str());
        ++failed_checks;
        return;
    }
    std::fprintf(stderr, "%s:%d: not refused, expected \"%s\"\n", file, line, part.c_str());
    ++failed_checks;
}

#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_NEAR(value, expected, tolerance) check_near((value), (expected), (tolerance), #value, __FILE__, __LINE__)
#define CHECK_REFUSED(action, part) check_refused([&] { action; }, (part), __FILE__, __LINE__)
