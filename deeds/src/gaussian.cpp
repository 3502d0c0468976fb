// What:          see gaussian.hpp.
// Source:        see gaussian.hpp.
// Complexity:    see gaussian.hpp.
// Thread safety: see gaussian.hpp.
#include "gaussian.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.hpp"

namespace deeds {
namespace {

constexpr double kReach = 2.5 + 1e-6;  ///< standard deviations; a little more, or the rounding of a spacing would decide at whole samples

/// Weights of the sample itself and of those at a distance of 1, 2, ... to either side; they sum to one.
std::vector<float> weights_of(double deviation) {
    const int radius = static_cast<int>(kReach * deviation + 0.5);
    std::vector<double> exact;
    double sum = 0;
    for (int k = 0; k <= radius; ++k) {
        exact.push_back(k == 0 ? 1.0 : std::exp(-0.5 * k * k / (deviation * deviation)));
        sum += (k == 0 ? 1 : 2) * exact.back();
    }
    std::vector<float> weights;
    for (const double weight : exact) weights.push_back(static_cast<float>(weight / sum));
    return weights;
}

/// out = the weighted sum of a row and of those around it; row(k) is the one at a distance of k, which may be negative.
template <class Row>
void sum_rows(const std::vector<float>& weights, const Row& row, std::int64_t count, std::vector<const float*>& rows, float* out) {
    const int reach = static_cast<int>(weights.size()) - 1;
    rows.clear();
    for (int k = -reach; k <= reach; ++k) rows.push_back(row(k));
    kernels().weigh_rows(weights.data(), reach, rows.data(), count, out);
}

}  // namespace

Grid3<float> gaussian(Grid3<float> grid, const std::array<double, 3>& deviations, ThreadPool& pool) {
    const Size3 size = grid.size;
    const auto clamped = [](std::int64_t at, std::int64_t count) { return std::clamp<std::int64_t>(at, 0, count - 1); };
    const std::vector<float> along_x = weights_of(deviations[0]), along_y = weights_of(deviations[1]),
                             along_z = weights_of(deviations[2]);
    const auto radius_x = static_cast<std::int64_t>(along_x.size()) - 1;
    Grid3<float> plane_means(size);
    pool.run(size.z, [&](std::int64_t z) {
        Grid3<float> row_means(Size3{size.x, size.y, 1});
        std::vector<float> padded(static_cast<std::size_t>(size.x + 2 * radius_x));
        std::vector<const float*> rows;
        for (std::int64_t y = 0; y < size.y; ++y) {
            const float* row = &grid.at(0, y, z);
            std::fill_n(padded.begin(), radius_x, row[0]);
            std::copy_n(row, size.x, padded.begin() + radius_x);
            std::fill_n(padded.begin() + radius_x + size.x, radius_x, row[size.x - 1]);
            sum_rows(along_x, [&](int k) { return padded.data() + radius_x + k; }, size.x, rows, &row_means.at(0, y, 0));
        }
        for (std::int64_t y = 0; y < size.y; ++y) {
            sum_rows(along_y, [&](int k) { return &row_means.at(0, clamped(y + k, size.y), 0); }, size.x, rows, &plane_means.at(0, y, z));
        }
    });
    if (along_z.size() == 1) return plane_means;
    pool.run(size.z, [&](std::int64_t z) {
        std::vector<const float*> rows;
        for (std::int64_t y = 0; y < size.y; ++y) {
            sum_rows(along_z, [&](int k) { return &plane_means.at(0, y, clamped(z + k, size.z)); }, size.x, rows, &grid.at(0, y, z));
        }
    });
    return grid;
}

}  // namespace deeds
