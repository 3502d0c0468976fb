// What:          similarity of every control point's patch at every displacement, as integer Hamming sums.
// Source:        Heinrich et al., IEEE TMI 2013 (dense displacement sampling).
// Complexity:    control points of the region x (2 radius + 1)^3 x samples of a patch.
// Thread safety: control rows are shared out to the pool; each writes only its own points.
#pragma once

#include <cstdint>
#include <vector>

#include "descriptor.hpp"
#include "region.hpp"
#include "thread_pool.hpp"
#include "volume3.hpp"

namespace deeds {

/// A row of a patch: voxels along j and k from the patch's first one.
struct SampledRow {
    int j, k;
};

/// Displacement steps of one level.
struct SearchLevel {
    int spacing;       ///< voxels between control points, 1 to 16
    int radius;        ///< steps to either side
    int quantization;  ///< voxels of a step

    int length() const { return 2 * radius + 1; }
    std::int64_t labels() const { return std::int64_t{1} * length() * length() * length(); }
    int sample_step() const { return spacing > 4 ? 2 : 1; }
    /// Every second one of the rows of a patch that lie sample_step apart along j and k, as on a chequerboard; rows between
    /// them would say almost the same, since descriptors compare patches that overlap.
    std::vector<SampledRow> sampled_rows() const;
    int samples() const { return static_cast<int>(sampled_rows().size()) * spacing; }
    /// Hamming sum -> data cost.
    float scale(double alpha) const;
};

inline Size3 control_size(Size3 image, int spacing) { return {image.x / spacing, image.y / spacing, image.z / spacing}; }

/// Rows of labels are read in whole vectors.
constexpr std::int64_t kSumsSlack = 64;

/// The control points that are compared, and where each one's costs lie: at slot times labels.
struct ControlPoints {
    Region region;                         ///< on the control grid
    std::vector<std::int64_t> first_slot;  ///< of each row (b, c)
    std::int64_t count = 0;                ///< points that are compared

    explicit ControlPoints(Region compared);

    bool contains(std::int64_t a, std::int64_t b, std::int64_t c) const {
        const Span& row = region.row(b, c);
        return a >= row.first && a < row.end;
    }
    /// Of a point that is compared.
    std::int64_t slot(std::int64_t a, std::int64_t b, std::int64_t c) const {
        return first_slot[static_cast<std::size_t>(c * region.size.y + b)] + a - region.row(b, c).first;
    }
};

/// Reused between calls, so that large arrays are touched for the first time only once.
struct DataCost {
    /// [slot][label], label = (k * length + j) * length + i; then kSumsSlack entries that may be read.
    std::vector<std::uint16_t> sums;
    std::vector<std::uint64_t> moving_phases;
};

/// Room for every control point of the largest level, so that no array moves when the next level is larger.
void reserve(Size3 image, const std::vector<SearchLevel>& levels, DataCost& cost);
/// What `reserve` takes, in bytes; less of it is touched where not every control point is compared.
std::int64_t memory_of_data_cost(Size3 image, const std::vector<SearchLevel>& levels);

/// Words outside the regions of `fixed` and `moving` count as uniform; beyond the image its border is repeated.
void compute_data_cost(const Words& fixed, const Words& moving, const SearchLevel& level, const ControlPoints& points,
                       ThreadPool& pool, DataCost& cost);

}  // namespace deeds
