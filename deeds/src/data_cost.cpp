// What:          see data_cost.hpp.
// Source:        see data_cost.hpp.
// Complexity:    see data_cost.hpp.
// Thread safety: see data_cost.hpp.
#include "data_cost.hpp"

#include <algorithm>
#include <utility>

#include "kernels.hpp"

namespace deeds {
namespace {

/// Rows of words by phase: word i lies at [i mod spacing][i div spacing], so that one patch sample of
/// neighbouring control points is contiguous. The first word is that of control point `first`.
struct PhaseRows {
    std::int64_t first;         ///< leftmost control point
    std::int64_t phase_stride;  ///< words of one phase
    std::int64_t row_stride;    ///< words of one row

    PhaseRows(Span compared, const SearchLevel& level) : first(compared.first) {
        const std::int64_t reach = level.spacing - 1 + 2 * level.radius * level.quantization;
        phase_stride = compared.count() + kLanes - 1 + reach / level.spacing + 1;
        row_stride = phase_stride * level.spacing;
    }
};

/// Words from voxel `first` on, in their order: those of the row, its border words beyond the image, else uniform ones.
void copy_row(const Words& words, std::int64_t y, std::int64_t z, std::int64_t first, std::vector<std::uint64_t>& line) {
    const Span span = words.region.row(y, z);
    const std::int64_t count = static_cast<std::int64_t>(line.size());
    if (span.empty()) {
        std::fill(line.begin(), line.end(), kUniformWord);
        return;
    }
    const std::uint64_t* row = words.row(y, z);
    const std::uint64_t before = span.first == 0 ? row[0] : kUniformWord;
    const std::uint64_t behind = span.end == words.region.size.x ? row[span.count() - 1] : kUniformWord;
    const std::int64_t begin = std::clamp<std::int64_t>(span.first - first, 0, count);
    const std::int64_t end = std::clamp<std::int64_t>(span.end - first, begin, count);
    std::fill(line.begin(), line.begin() + begin, before);
    if (end > begin) std::copy(row + (first + begin - span.first), row + (first + end - span.first), line.begin() + begin);
    std::fill(line.begin() + end, line.end(), behind);
}

void store_phases(const std::vector<std::uint64_t>& line, int spacing, std::int64_t stride, std::uint64_t* out) {
    for (int phase = 0; phase < spacing; ++phase) {
        const std::uint64_t* from = line.data() + phase;
        std::uint64_t* to = out + phase * stride;
        for (std::int64_t q = 0; q < stride; ++q) to[q] = from[q * spacing];
    }
}

/// The rectangle of control rows and columns around all compared points.
struct Extent {
    Span a, b;
};

Extent extent_of(const Region& control) {
    Extent extent;
    for (std::int64_t c = 0; c < control.size.z; ++c) {
        for (std::int64_t b = 0; b < control.size.y; ++b) {
            const Span row = control.row(b, c);
            if (row.empty()) continue;
            extent.a = hull(extent.a, row);
            extent.b = hull(extent.b, {b, b + 1});
        }
    }
    return extent;
}

/// The moving words of the slices that the points of one control slice are compared with. Slices are kept as long as the next
/// control slice needs them, so the whole image is never held by phase.
class MovingSlices {
  public:
    MovingSlices(const Words& moving, const SearchLevel& level, const Extent& extent, const PhaseRows& rows,
                 std::vector<std::uint64_t>& phases)
        : moving_(moving),
          level_(level),
          pad_(std::int64_t{1} * level.radius * level.quantization),
          rows_(rows),
          y_{std::max<std::int64_t>(0, extent.b.first * level.spacing - pad_),
             std::min(moving.region.size.y, extent.b.end * level.spacing + pad_)},
          kept_(std::min(moving.region.size.z, level.spacing + 2 * pad_)),
          held_(static_cast<std::size_t>(kept_), -1),
          phases_(phases) {
        phases_.resize(static_cast<std::size_t>(kept_ * y_.count() * rows.row_stride));
    }

    const std::uint64_t* words() const { return phases_.data(); }

    /// Makes the slices of control slice c ready.
    void advance_to(std::int64_t c, ThreadPool& pool) {
        const std::int64_t first = clamped_slice(c * level_.spacing - pad_);
        const std::int64_t last = clamped_slice((c + 1) * level_.spacing - 1 + pad_);
        pool.run(last - first + 1, [&](std::int64_t s) { store_slice(first + s); });
    }

    /// Start of the slice of voxel c * spacing - pad + n along k, for every n.
    std::vector<std::int64_t> slice_offsets(std::int64_t c) const {
        std::vector<std::int64_t> offsets;
        for (std::int64_t n = 0; n < level_.spacing + 2 * pad_; ++n) {
            offsets.push_back(clamped_slice(c * level_.spacing - pad_ + n) % kept_ * y_.count() * rows_.row_stride);
        }
        return offsets;
    }

    /// The same for the rows of control row b, inside a slice.
    std::vector<std::int64_t> row_offsets(std::int64_t b) const {
        std::vector<std::int64_t> offsets;
        for (std::int64_t n = 0; n < level_.spacing + 2 * pad_; ++n) {
            const std::int64_t y = std::clamp<std::int64_t>(b * level_.spacing - pad_ + n, 0, moving_.region.size.y - 1);
            offsets.push_back((y - y_.first) * rows_.row_stride);
        }
        return offsets;
    }

  private:
    std::int64_t clamped_slice(std::int64_t z) const { return std::clamp<std::int64_t>(z, 0, moving_.region.size.z - 1); }

    void store_slice(std::int64_t z) {
        std::int64_t& held = held_[static_cast<std::size_t>(z % kept_)];
        if (held == z) return;
        held = z;
        std::vector<std::uint64_t> line(static_cast<std::size_t>(rows_.row_stride));
        for (std::int64_t y = y_.first; y < y_.end; ++y) {
            copy_row(moving_, y, z, rows_.first * level_.spacing - pad_, line);
            store_phases(line, level_.spacing, rows_.phase_stride,
                         phases_.data() + ((z % kept_) * y_.count() + y - y_.first) * rows_.row_stride);
        }
    }

    const Words& moving_;
    const SearchLevel& level_;
    std::int64_t pad_;
    const PhaseRows& rows_;
    Span y_;
    std::int64_t kept_;
    std::vector<std::int64_t> held_;  ///< slice in each place
    std::vector<std::uint64_t>& phases_;
};

/// Start of the eight words of each sample and label along i, inside a row of phases.
std::vector<std::int64_t> word_offsets(const SearchLevel& level, std::int64_t phase_stride) {
    std::vector<std::int64_t> offsets;
    for (int s = 0; s < level.spacing; ++s) {
        for (int label = 0; label < level.length(); ++label) {
            const int i = s + label * level.quantization;
            offsets.push_back((i % level.spacing) * phase_stride + i / level.spacing);
        }
    }
    return offsets;
}

/// The sums of one row of control points.
void compare_row(const Words& fixed, const SearchLevel& level, const ControlPoints& points, const PhaseRows& phase_rows,
                 HammingBlock block, const std::uint64_t* moving, std::int64_t b, std::int64_t c, std::uint16_t* out) {
    const Span row = points.region.row(b, c);
    const std::vector<SampledRow> sampled = level.sampled_rows();
    std::vector<std::uint64_t> line(static_cast<std::size_t>(phase_rows.row_stride));
    std::vector<std::uint64_t> fixed_rows(sampled.size() * line.size());
    for (std::size_t r = 0; r < sampled.size(); ++r) {
        copy_row(fixed, b * level.spacing + sampled[r].j, c * level.spacing + sampled[r].k, phase_rows.first * level.spacing, line);
        store_phases(line, level.spacing, phase_rows.phase_stride, fixed_rows.data() + r * line.size());
    }
    std::vector<std::uint16_t> sums(static_cast<std::size_t>(level.labels() * kLanes));
    block.sums = sums.data();
    for (std::int64_t a = row.first; a < row.end; a += kLanes) {
        block.fixed = fixed_rows.data() + (a - phase_rows.first);
        block.moving = moving + (a - phase_rows.first);
        kernels().hamming_sums(block);
        kernels().transpose_sums(sums.data(), level.labels(), static_cast<int>(std::min<std::int64_t>(kLanes, row.end - a)),
                                 out + points.slot(a, b, c) * level.labels(), level.labels());
    }
}

struct Room {
    std::int64_t sums = 0, phases = 0;
};

Room room_for(Size3 image, const std::vector<SearchLevel>& levels) {
    Room room;
    for (const SearchLevel& level : levels) {
        const Size3 control = control_size(image, level.spacing);
        const std::int64_t slices = level.spacing + 2 * level.radius * level.quantization;
        room.sums = std::max(room.sums, control.count() * level.labels() + kSumsSlack);
        room.phases = std::max(room.phases, PhaseRows({0, control.x}, level).row_stride * image.y * std::min(image.z, slices));
    }
    return room;
}

}  // namespace

std::vector<SampledRow> SearchLevel::sampled_rows() const {
    std::vector<SampledRow> rows;
    const int step = sample_step();
    for (int k = 0; k < spacing; k += step) {
        for (int j = 0; j < spacing; j += step) {
            if ((j + k) / step % 2 == 0) rows.push_back({j, k});
        }
    }
    return rows;
}

float SearchLevel::scale(double alpha) const {
    return static_cast<float>(0.5 * spacing / (alpha * quantization) / samples());
}

ControlPoints::ControlPoints(Region compared) : region(std::move(compared)) {
    for (const Span& row : region.rows) {
        first_slot.push_back(count);
        count += row.count();
    }
}

void reserve(Size3 image, const std::vector<SearchLevel>& levels, DataCost& cost) {
    const Room room = room_for(image, levels);
    cost.sums.reserve(static_cast<std::size_t>(room.sums));
    cost.moving_phases.reserve(static_cast<std::size_t>(room.phases));
}

std::int64_t memory_of_data_cost(Size3 image, const std::vector<SearchLevel>& levels) {
    const Room room = room_for(image, levels);
    return room.sums * static_cast<std::int64_t>(sizeof(std::uint16_t)) +
           room.phases * static_cast<std::int64_t>(sizeof(std::uint64_t));
}

void compute_data_cost(const Words& fixed, const Words& moving, const SearchLevel& level, const ControlPoints& points,
                       ThreadPool& pool, DataCost& cost) {
    cost.sums.resize(static_cast<std::size_t>(points.count * level.labels() + kSumsSlack));
    const Extent extent = extent_of(points.region);
    if (extent.a.empty()) return;
    const PhaseRows rows(extent.a, level);
    MovingSlices slices(moving, level, extent, rows, cost.moving_phases);
    const std::vector<std::int64_t> offset_i = word_offsets(level, rows.phase_stride);
    std::vector<std::int64_t> row_j, row_k;
    for (const SampledRow row : level.sampled_rows()) {
        row_j.push_back(row.j);
        row_k.push_back(row.k);
    }
    for (std::int64_t c = 0; c < points.region.size.z; ++c) {
        slices.advance_to(c, pool);
        const std::vector<std::int64_t> offset_k = slices.slice_offsets(c);
        pool.run(extent.b.count(), [&](std::int64_t n) {
            const std::int64_t b = extent.b.first + n;
            if (points.region.row(b, c).empty()) return;
            const std::vector<std::int64_t> offset_j = slices.row_offsets(b);
            HammingBlock block{};
            block.fixed_row_stride = rows.row_stride;
            block.fixed_phase_stride = rows.phase_stride;
            block.offset_k = offset_k.data();
            block.offset_j = offset_j.data();
            block.offset_i = offset_i.data();
            block.row_j = row_j.data();
            block.row_k = row_k.data();
            block.rows = static_cast<int>(row_j.size());
            block.spacing = level.spacing;
            block.length = level.length();
            block.quantization = level.quantization;
            compare_row(fixed, level, points, rows, block, slices.words(), b, c, cost.sums.data());
        });
    }
}

}  // namespace deeds
