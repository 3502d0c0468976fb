// What:          self-similarity context: one 60-bit word a voxel whose Hamming distance compares two images.
// Source:        Heinrich et al., MICCAI 2013 (twelve pairs of the six-neighbourhood).
// Complexity:    linear in the voxels of the region; scratch of a few slices a thread.
// Thread safety: every call owns its scratch; `words` is written slab by slab by the pool.
#pragma once

#include <cstdint>
#include <vector>

#include "region.hpp"
#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

/// The word of a place without any structure: what lies outside a region counts as such.
constexpr std::uint64_t kUniformWord = (std::uint64_t{1} << 60) - 1;

/// Words of the voxels of a region, row after row without gaps.
struct Words {
    Region region;
    std::vector<std::size_t> start;  ///< place of each row's first word, [row]
    std::vector<std::uint64_t> values;

    /// Lays the rows out and makes room for their words.
    void resize(const Region& new_region);

    /// Word of the first voxel of the row's span.
    const std::uint64_t* row(std::int64_t y, std::int64_t z) const { return values.data() + start_of(y, z); }
    std::uint64_t* row(std::int64_t y, std::int64_t z) { return values.data() + start_of(y, z); }

  private:
    std::size_t start_of(std::int64_t y, std::int64_t z) const {
        return start[static_cast<std::size_t>(z * region.size.y + y)];
    }
};

/// Distance to the compared neighbours and radius of the patches, in voxels, at a level's quantization.
inline int descriptor_step(int quantization) { return (quantization + 1) / 2 + (quantization % 2 == 0 ? 1 : 0); }

/// Voxels around a place that its word depends on: shifted patch, compared neighbour and radius.
inline int descriptor_reach(int step) { return 3 * step; }

/// Channel c in bits 5c .. 5c+4 as a thermometer of 0 to 5 set bits. Reads the image within the reach of the region.
void compute_descriptor(const Grid3<float>& image, int step, const Region& region, ThreadPool& pool, Words& words);

}  // namespace deeds
