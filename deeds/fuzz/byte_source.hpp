// What:          bytes in memory as the reader of images takes them.
// Source:        this project.
// Complexity:    linear in the bytes.
// Thread safety: one source is read by one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "nifti.hpp"

inline deeds::ByteSource bytes_of(const std::uint8_t* data, std::size_t size) {
    return [data, size, next = std::size_t{0}](void* buffer, std::int64_t capacity) mutable {
        const std::size_t part = std::min(static_cast<std::size_t>(capacity), size - next);
        if (part > 0) std::memcpy(buffer, data + next, part);
        next += part;
        return static_cast<std::int64_t>(part);
    };
}
