// What:          see field_inverse.hpp.
// Source:        see field_inverse.hpp.
// Complexity:    see field_inverse.hpp.
// Thread safety: see field_inverse.hpp.
#include "field_inverse.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "thread_pool.hpp"

namespace deeds {
namespace {

constexpr int whole_steps = 15;
constexpr float beyond = 0.5f;  // voxels outside the border that still count as the border

/// A vector along i, j, k; the fourth number fills a vector register.
struct Vector4 {
    float v[4];
};

Vector4 between(const Vector4& low, const Vector4& high, float share) {
    Vector4 mixed;
    for (int n = 0; n < 4; ++n) mixed.v[n] = low.v[n] + share * (high.v[n] - low.v[n]);
    return mixed;
}

/// The field with the components of a place side by side.
class Sampler {
  public:
    explicit Sampler(const VoxelShift& shift) : size_(shift[0].size), vectors_(shift[0].values.size()) {
        for (std::size_t axis = 0; axis < 3; ++axis)
            for (std::size_t n = 0; n < vectors_.size(); ++n) vectors_[n].v[axis] = shift[axis].values[n];
    }

    Vector4 at(float i, float j, float k) const {
        if (!(reaches(i, size_.x) && reaches(j, size_.y) && reaches(k, size_.z))) return {};
        const Part x = part(i, size_.x), y = part(j, size_.y), z = part(k, size_.z);
        const std::int64_t row = size_.x, slice = size_.x * size_.y;
        const Vector4* corner = vectors_.data() + z.low * slice + y.low * row + x.low;
        const auto line = [&](std::int64_t step) { return between(corner[step], corner[step + 1], x.share); };
        return between(between(line(0), line(row), y.share), between(line(slice), line(slice + row), y.share), z.share);
    }

  private:
    struct Part {
        std::int64_t low;
        float share;
    };

    static bool reaches(float at, std::int64_t size) { return at >= -beyond && at <= static_cast<float>(size - 1) + beyond; }

    static Part part(float at, std::int64_t size) {
        const float inside = std::min(std::max(at, 0.0f), static_cast<float>(size - 1));
        const std::int64_t low = std::min(static_cast<std::int64_t>(inside), size - 2);
        return {low, inside - static_cast<float>(low)};
    }

    Size3 size_;
    std::vector<Vector4> vectors_;
};

/// Squared lengths in mm of vectors in voxels.
class Metric {
  public:
    explicit Metric(const AffineVox& to_world) {
        for (int row = 0; row < 3; ++row)
            for (int column = 0; column < 3; ++column) axes_[row][column] = static_cast<float>(to_world.m[row][column]);
    }

    float squared_mm(const Vector4& voxels) const {
        float sum = 0;
        for (const auto& row : axes_) {
            const float along = row[0] * voxels.v[0] + row[1] * voxels.v[1] + row[2] * voxels.v[2];
            sum += along * along;
        }
        return sum;
    }

  private:
    float axes_[3][3];
};

struct Found {
    Vector4 back;
    float squared_mm;
};

Found inverse_at(const Sampler& field, const Metric& metric, const float (&place)[3], float enough, int largest_steps) {
    Vector4 back = field.at(place[0], place[1], place[2]);
    for (float& part : back.v) part = -part;
    Found best{back, std::numeric_limits<float>::max()};
    for (int step = 0;; ++step) {
        Vector4 left = field.at(place[0] + back.v[0], place[1] + back.v[1], place[2] + back.v[2]);
        for (int n = 0; n < 4; ++n) left.v[n] += back.v[n];
        const float squared_mm = metric.squared_mm(left);
        if (squared_mm < best.squared_mm) best = {back, squared_mm};
        if (best.squared_mm <= enough || step == largest_steps) return best;
        const float share = step < whole_steps ? 1.0f : 0.5f;
        for (int n = 0; n < 4; ++n) back.v[n] -= share * left.v[n];
    }
}

/// Replaces vectors by their images under the linear part of a map, in place.
void turn(VoxelShift& vectors, const AffineVox& map) {
    for (std::size_t n = 0; n < vectors[0].values.size(); ++n) {
        const double from[3] = {vectors[0].values[n], vectors[1].values[n], vectors[2].values[n]};
        for (std::size_t row = 0; row < 3; ++row)
            vectors[row].values[n] = static_cast<float>(map.m[row][0] * from[0] + map.m[row][1] * from[1] + map.m[row][2] * from[2]);
    }
}

}  // namespace

FieldInverse inverse_of(VoxelShift shift, const Geometry& grid, const InversionSettings& settings) {
    const Sampler field(shift);
    const Metric metric(grid.to_world);
    const float enough = static_cast<float>(settings.tolerance_mm * settings.tolerance_mm);
    FieldInverse inverse;
    inverse.shift = std::move(shift);  // the sampler has its own copy
    std::mutex mutex;
    in_parallel(grid.size.z, settings.threads, [&](std::int64_t first, std::int64_t last) {
        std::int64_t unreached = 0;
        float largest = 0;
        for (std::int64_t k = first; k < last; ++k)
            for (std::int64_t j = 0; j < grid.size.y; ++j)
                for (std::int64_t i = 0; i < grid.size.x; ++i) {
                    const float place[3] = {static_cast<float>(i), static_cast<float>(j), static_cast<float>(k)};
                    const Found found = inverse_at(field, metric, place, enough, settings.largest_steps);
                    for (std::size_t axis = 0; axis < 3; ++axis) inverse.shift[axis].at(i, j, k) = found.back.v[axis];
                    unreached += found.squared_mm > enough ? 1 : 0;
                    largest = std::max(largest, found.squared_mm);
                }
        const std::lock_guard<std::mutex> lock(mutex);
        inverse.unreached += unreached;
        inverse.largest_mm = std::max(inverse.largest_mm, static_cast<double>(std::sqrt(largest)));
    });
    return inverse;
}

FieldInverse inverse_of_lps(VoxelShift field_mm, const Geometry& grid, const InversionSettings& settings) {
    AffineVox to_lps = grid.to_world;  // of voxels
    for (int row = 0; row < 2; ++row)
        for (double& value : to_lps.m[row]) value = -value;
    turn(field_mm, inverse(to_lps));
    FieldInverse found = inverse_of(std::move(field_mm), grid, settings);
    turn(found.shift, to_lps);
    return found;
}

}  // namespace deeds
