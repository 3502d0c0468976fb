// What:          see data_cost.hpp.
// Source:        see data_cost.hpp.
// Complexity:    see data_cost.hpp.
// Thread safety: see data_cost.hpp.
#include "data_cost.hpp"

#include <algorithm>

#include "kernels.hpp"

namespace deeds {
namespace {

/// Rows of words by phase: word i lies at [i mod spacing][i div spacing], so that one patch sample of
/// neighbouring control points is contiguous.
struct PhaseRows {
    std::int64_t phase_stride;  ///< words of one phase
    std::int64_t row_stride;    ///< words of one row

    PhaseRows(std::int64_t control_x, const SearchLevel& level) {
        const std::int64_t lanes = (control_x + kLanes - 1) / kLanes * kLanes;
        const std::int64_t reach = level.spacing - 1 + 2 * level.radius * level.quantization;
        phase_stride = lanes + reach / level.spacing;
        row_stride = phase_stride * level.spacing;
    }
};

void store_phases(const std::uint64_t* words, std::int64_t size, std::int64_t pad, int spacing, std::int64_t stride,
                  std::uint64_t* out) {
    for (int phase = 0; phase < spacing; ++phase) {
        std::uint64_t* to = out + phase * stride;
        for (std::int64_t q = 0; q < stride; ++q) {
            const std::int64_t i = q * spacing + phase - pad;
            to[q] = words[std::clamp<std::int64_t>(i, 0, size - 1)];
        }
    }
}

/// Offsets of the rows from `pad` before the first one to behind the last one, border rows repeated.
std::vector<std::int64_t> border_offsets(std::int64_t size, std::int64_t pad, std::int64_t stride) {
    std::vector<std::int64_t> offsets;
    for (std::int64_t i = -pad; i < size + pad; ++i) {
        offsets.push_back(std::clamp<std::int64_t>(i, 0, size - 1) * stride);
    }
    return offsets;
}

struct Room {
    std::int64_t sums = 0, phases = 0;
};

Room room_for(Size3 image, const std::vector<SearchLevel>& levels) {
    Room room;
    for (const SearchLevel& level : levels) {
        const Size3 control = control_size(image, level.spacing);
        room.sums = std::max(room.sums, control.count() * level.labels() + kSumsSlack);
        room.phases = std::max(room.phases, PhaseRows(control.x, level).row_stride * image.y * image.z);
    }
    return room;
}

}  // namespace

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

float SearchLevel::scale(double alpha) const {
    return static_cast<float>(0.5 * spacing / (alpha * quantization) / samples());
}

void compute_data_cost(const Grid3<std::uint64_t>& fixed, const Grid3<std::uint64_t>& moving, const SearchLevel& level,
                       ThreadPool& pool, DataCost& cost) {
    const Size3 size = fixed.size, control = control_size(size, level.spacing);
    const int length = level.length(), spacing = level.spacing;
    const std::int64_t pad = std::int64_t{1} * level.radius * level.quantization;
    const PhaseRows rows(control.x, level);

    cost.moving_phases.resize(static_cast<std::size_t>(rows.row_stride * size.y * size.z));
    pool.run(size.z, [&](std::int64_t z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            store_phases(moving.values.data() + moving.index(0, y, z), size.x, pad, spacing, rows.phase_stride,
                         cost.moving_phases.data() + (z * size.y + y) * rows.row_stride);
        }
    });

    const std::vector<std::int64_t> offset_k = border_offsets(size.z, pad, rows.row_stride * size.y);
    const std::vector<std::int64_t> offset_j = border_offsets(size.y, pad, rows.row_stride);
    std::vector<std::int64_t> offset_i;
    for (int s = 0; s < spacing; ++s) {
        for (int label = 0; label < length; ++label) {
            const int i = s + label * level.quantization;
            offset_i.push_back((i % spacing) * rows.phase_stride + i / spacing);
        }
    }

    cost.sums.resize(static_cast<std::size_t>(control.count() * level.labels() + kSumsSlack));
    const int samples = level.samples_per_axis();
    pool.run(control.y * control.z, [&](std::int64_t control_row) {
        const std::int64_t b = control_row % control.y, c = control_row / control.y;
        std::vector<std::uint64_t> fixed_rows(static_cast<std::size_t>(samples * samples * rows.row_stride));
        for (int sk = 0; sk < samples; ++sk) {
            for (int sj = 0; sj < samples; ++sj) {
                const std::uint64_t* words =
                    fixed.values.data() +
                    fixed.index(0, b * spacing + sj * level.sample_step(), c * spacing + sk * level.sample_step());
                store_phases(words, size.x, 0, spacing, rows.phase_stride,
                             fixed_rows.data() + (sk * samples + sj) * rows.row_stride);
            }
        }
        std::vector<std::uint16_t> sums(static_cast<std::size_t>(level.labels() * kLanes));
        HammingBlock block{};
        block.fixed_row_stride = rows.row_stride;
        block.fixed_phase_stride = rows.phase_stride;
        block.offset_k = offset_k.data() + c * spacing;
        block.offset_j = offset_j.data() + b * spacing;
        block.offset_i = offset_i.data();
        block.spacing = spacing;
        block.sample_step = level.sample_step();
        block.samples = samples;
        block.length = length;
        block.quantization = level.quantization;
        block.sums = sums.data();
        for (std::int64_t a = 0; a < control.x; a += kLanes) {
            block.fixed = fixed_rows.data() + a;
            block.moving = cost.moving_phases.data() + a;
            kernels().hamming_sums(block);
            const std::int64_t point = control_row * control.x + a;
            kernels().transpose_sums(sums.data(), level.labels(),
                                     static_cast<int>(std::min<std::int64_t>(kLanes, control.x - a)),
                                     cost.sums.data() + point * level.labels(), level.labels());
        }
    });
}

}  // namespace deeds
