// What:          the part of an image where anything is to be registered, as one span of voxels in every row.
// Source:        this project.
// Complexity:    linear in the voxels (body_region), in the rows otherwise.
// Thread safety: plain values and pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "volume3.hpp"

namespace deeds {

/// Voxels [first, end) of a row.
struct Span {
    std::int64_t first = 0, end = 0;

    std::int64_t count() const { return end - first; }
    bool empty() const { return first >= end; }
    /// The smallest span that holds both.
    friend Span hull(Span a, Span b) {
        if (a.empty()) return b;
        return b.empty() ? a : Span{std::min(a.first, b.first), std::max(a.end, b.end)};
    }
};

/// A span along i in every row (j, k).
struct Region {
    Size3 size;
    std::vector<Span> rows;

    Region() = default;
    Region(Size3 grid, Span span) : size(grid), rows(static_cast<std::size_t>(grid.y * grid.z), span) {}

    const Span& row(std::int64_t y, std::int64_t z) const { return rows[static_cast<std::size_t>(z * size.y + y)]; }
    Span& row(std::int64_t y, std::int64_t z) { return rows[static_cast<std::size_t>(z * size.y + y)]; }
    std::int64_t count() const;
};

/// Every voxel of a grid.
inline Region whole_region(Size3 size) { return Region(size, {0, size.x}); }

/// The body with a margin of a few voxels. The surroundings are known by the outermost voxels along i and j: where those
/// are mostly dark and alike, what is clearly brighter is the body; otherwise every voxel counts. Each row keeps what lies
/// between its outermost parts of the body, so lungs and bowel belong to it.
Region body_region(const Grid3<float>& image);

/// What is in either of two regions of one size, row by row without gaps.
Region united(const Region& a, const Region& b);

/// The region with `margin` voxels more on every side.
Region grown(const Region& region, std::int64_t margin);

/// The control points, on their own grid, whose patches of spacing^3 voxels meet the region.
Region control_region(const Region& region, int spacing);

}  // namespace deeds
