// What:          self-similarity context: one 60-bit word a voxel whose Hamming distance compares two images.
// Source:        Heinrich et al., MICCAI 2013 (twelve pairs of the six-neighbourhood).
// Complexity:    linear in the voxels; scratch of a few slices a thread.
// Thread safety: every call owns its scratch; `words` is written slab by slab by the pool.
#pragma once

#include <cstdint>

#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

/// Distance to the compared neighbours and radius of the patches, in voxels, at a level's quantization.
inline int descriptor_step(int quantization) { return (quantization + 1) / 2 + (quantization % 2 == 0 ? 1 : 0); }

/// Channel c in bits 5c .. 5c+4 as a thermometer of 0 to 5 set bits.
void compute_descriptor(const Grid3<float>& image, int step, ThreadPool& pool, Grid3<std::uint64_t>& words);

}  // namespace deeds
