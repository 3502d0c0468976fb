// What:          three-dimensional sizes and grids; the shared value types of the whole program.
// Source:        this project.
// Complexity:    constant, except the allocation of a grid (linear in its voxels).
// Thread safety: plain values; concurrent reads are safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace deeds {

/// Numbers of samples along i (x, fastest), j (y) and k (z, slowest).
struct Size3 {
    std::int64_t x = 0;
    std::int64_t y = 0;
    std::int64_t z = 0;

    std::int64_t count() const { return x * y * z; }
    friend bool operator==(const Size3& a, const Size3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }
    friend bool operator!=(const Size3& a, const Size3& b) { return !(a == b); }
};

/// Samples on a regular grid, x fastest.
template <class T>
struct Grid3 {
    Size3 size;
    std::vector<T> values;

    Grid3() = default;
    explicit Grid3(Size3 grid_size, T value = T{})
        : size(grid_size), values(static_cast<std::size_t>(grid_size.count()), value) {}

    std::size_t index(std::int64_t x, std::int64_t y, std::int64_t z) const {
        return static_cast<std::size_t>((z * size.y + y) * size.x + x);
    }
    T& at(std::int64_t x, std::int64_t y, std::int64_t z) { return values[index(x, y, z)]; }
    const T& at(std::int64_t x, std::int64_t y, std::int64_t z) const { return values[index(x, y, z)]; }
};

}  // namespace deeds
