// What:          see commands_common.hpp.
// Source:        see commands_common.hpp.
// Complexity:    see commands_common.hpp.
// Thread safety: see commands_common.hpp.
#include "commands_common.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "errors.hpp"

namespace deeds {
namespace {

constexpr std::int64_t bytes_of_mebibyte = 1 << 20;

std::int64_t memory_limit(const GeneralOptions& options) {
    constexpr double most_mib = 1LL << 40;
    if (options.memory_limit_mib > 0)
        return static_cast<std::int64_t>(std::min(options.memory_limit_mib, most_mib) * static_cast<double>(bytes_of_mebibyte));
    const std::int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? pages * page : std::numeric_limits<std::int64_t>::max();  // where the machine does not say
}

}  // namespace

ReadOptions read_options(const GeneralOptions& options, std::int64_t bytes_of_voxel) {
    return {options.nan_to, options.volume, memory_limit(options), bytes_of_voxel};
}

void require_memory(const GeneralOptions& options, const std::string& work, std::int64_t bytes) {
    const std::int64_t limit = memory_limit(options);
    if (bytes <= limit) return;
    throw OptionError("--memory-limit", std::to_string(limit / bytes_of_mebibyte) + " MiB, but " + work + " needs " +
                                            std::to_string(bytes / bytes_of_mebibyte + 1) + " MiB");
}

void say(const GeneralOptions& options, const std::string& line) {
    if (!options.quiet) std::printf("%s\n", line.c_str());
}

void warn(const std::string& line) { std::fprintf(stderr, "deeds: %s\n", line.c_str()); }

}  // namespace deeds
