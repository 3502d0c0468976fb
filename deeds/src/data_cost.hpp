// What:          similarity of every control point's patch at every displacement, as integer Hamming sums.
// Source:        Heinrich et al., IEEE TMI 2013 (dense displacement sampling).
// Complexity:    control points x (2 radius + 1)^3 x samples of a patch.
// Thread safety: control rows are shared out to the pool; each writes only its own points.
#pragma once

#include <cstdint>
#include <vector>

#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

/// Displacement steps of one level.
struct SearchLevel {
    int spacing;       ///< voxels between control points, 1 to 16
    int radius;        ///< steps to either side
    int quantization;  ///< voxels of a step

    int length() const { return 2 * radius + 1; }
    std::int64_t labels() const { return std::int64_t{1} * length() * length() * length(); }
    int sample_step() const { return spacing > 4 ? 2 : 1; }
    int samples_per_axis() const { return (spacing + sample_step() - 1) / sample_step(); }
    int samples() const { return samples_per_axis() * samples_per_axis() * spacing; }
    /// Hamming sum -> data cost.
    float scale(double alpha) const;
};

inline Size3 control_size(Size3 image, int spacing) { return {image.x / spacing, image.y / spacing, image.z / spacing}; }

/// Rows of labels are read in whole vectors.
constexpr std::int64_t kSumsSlack = 64;

/// Reused between calls, so that large arrays are touched for the first time only once.
struct DataCost {
    /// [control point][label], label = (k * length + j) * length + i; then kSumsSlack entries that may be read.
    std::vector<std::uint16_t> sums;
    std::vector<std::uint64_t> moving_phases;
};

/// Room for the largest of the levels, so that no array moves when the next level is larger.
void reserve(Size3 image, const std::vector<SearchLevel>& levels, DataCost& cost);
/// What `reserve` takes, in bytes.
std::int64_t memory_of_data_cost(Size3 image, const std::vector<SearchLevel>& levels);

void compute_data_cost(const Grid3<std::uint64_t>& fixed, const Grid3<std::uint64_t>& moving, const SearchLevel& level,
                       ThreadPool& pool, DataCost& cost);

}  // namespace deeds
