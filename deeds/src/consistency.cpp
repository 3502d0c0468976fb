// What:          see consistency.hpp.
// Source:        see consistency.hpp.
// Complexity:    see consistency.hpp.
// Thread safety: see consistency.hpp.
#include "consistency.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels.hpp"

namespace deeds {
namespace {

constexpr int kRounds = 10;

/// Displacements in cells of the control grid.
using Components = std::array<std::vector<float>, 3>;

Components in_cells(const ControlField& field) {
    Components cells = {field.di, field.dj, field.dk};
    const float spacing = static_cast<float>(field.spacing);
    for (auto& component : cells) {
        for (float& value : component) value /= spacing;
    }
    return cells;
}

void to_voxels(const Components& cells, ControlField& field) {
    const float spacing = static_cast<float>(field.spacing);
    std::vector<float>* const targets[3] = {&field.di, &field.dj, &field.dk};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        std::transform(cells[axis].begin(), cells[axis].end(), targets[axis]->begin(),
                       [spacing](float value) { return value * spacing; });
    }
}

/// out = (own - other(x + own)) / 2
void half_difference(const Components& own, const Components& other, Size3 size, ThreadPool& pool, Components& out) {
    pool.run(size.z, [&](std::int64_t z) {
        const std::size_t row_size = static_cast<std::size_t>(size.x);
        std::vector<float> x(row_size), y(row_size), z_row(row_size), sampled(row_size);
        for (std::int64_t row = 0; row < size.y; ++row) {
            const std::size_t start = static_cast<std::size_t>((z * size.y + row) * size.x);
            for (std::size_t t = 0; t < row_size; ++t) {
                x[t] = static_cast<float>(t) + own[0][start + t];
                y[t] = static_cast<float>(row) + own[1][start + t];
                z_row[t] = static_cast<float>(z) + own[2][start + t];
            }
            for (std::size_t axis = 0; axis < 3; ++axis) {
                kernels().warp_row({other[axis].data(), size.x, size.y, size.z, x.data(), y.data(), z_row.data(),
                                    sampled.data(), size.x, true, 0.0f});
                for (std::size_t t = 0; t < row_size; ++t) {
                    out[axis][start + t] = 0.5f * (own[axis][start + t] - sampled[t]);
                }
            }
        }
    });
}

}  // namespace

void make_consistent(ControlField& forward, ControlField& backward, ThreadPool& pool) {
    Components u = in_cells(forward), v = in_cells(backward);
    Components next_u = u, next_v = v;
    for (int round = 0; round < kRounds; ++round) {
        half_difference(u, v, forward.control, pool, next_u);
        half_difference(v, u, forward.control, pool, next_v);
        u.swap(next_u);
        v.swap(next_v);
    }
    to_voxels(u, forward);
    to_voxels(v, backward);
}

JacobianSummary jacobian_summary(const ControlField& field) {
    const Size3 size = field.control;
    const std::vector<float>* const components[3] = {&field.di, &field.dj, &field.dk};
    const std::int64_t count[3] = {size.x, size.y, size.z}, step[3] = {1, size.x, size.x * size.y};
    double sum = 0, square = 0;
    std::int64_t folded = 0;
    for (std::int64_t point = 0; point < size.count(); ++point) {
        const std::int64_t at[3] = {point % size.x, point / size.x % size.y, point / step[2]};
        double j[3][3];
        for (int axis = 0; axis < 3; ++axis) {
            const std::int64_t low = at[axis] > 0 ? point - step[axis] : point;
            const std::int64_t high = at[axis] + 1 < count[axis] ? point + step[axis] : point;
            const double cells = static_cast<double>((high - low) / step[axis]);
            for (int c = 0; c < 3; ++c) {
                const double difference = static_cast<double>((*components[c])[static_cast<std::size_t>(high)]) -
                                          static_cast<double>((*components[c])[static_cast<std::size_t>(low)]);
                j[c][axis] = difference / (std::max(cells, 1.0) * field.spacing) + (c == axis ? 1.0 : 0.0);
            }
        }
        const double determinant = j[0][0] * (j[1][1] * j[2][2] - j[1][2] * j[2][1]) -
                                   j[0][1] * (j[1][0] * j[2][2] - j[1][2] * j[2][0]) +
                                   j[0][2] * (j[1][0] * j[2][1] - j[1][1] * j[2][0]);
        sum += determinant;
        square += determinant * determinant;
        if (determinant < 0) ++folded;
    }
    const double points = static_cast<double>(size.count()), mean = sum / points;
    return {std::sqrt(std::max(0.0, square / points - mean * mean)), static_cast<double>(folded) / points};
}

}  // namespace deeds
