// What:          see descriptor.hpp.
// Source:        see descriptor.hpp.
// Complexity:    see descriptor.hpp.
// Thread safety: see descriptor.hpp.
#include "descriptor.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels.hpp"

namespace deeds {
namespace {

constexpr int kVolumes = 6;
constexpr std::int64_t kSlabSlices = 16;
/// The chunks of the quantising loop may read past a row.
constexpr std::int64_t kSlack = 64;

struct Offset {
    int x, y, z;
};
constexpr Offset kNeighbours[kVolumes] = {{1, 1, 0}, {-1, 1, 0}, {0, -1, 1}, {-1, 0, 1}, {0, 1, 1}, {1, 0, 1}};
constexpr Offset kShifts[kChannels] = {{0, -1, 0}, {-1, 0, 0}, {0, -1, 0}, {1, 0, 0},  {0, 0, -1}, {0, 1, 0},
                                       {0, 0, -1}, {1, 0, 0},  {0, 0, -1}, {0, -1, 0}, {0, 0, -1}, {-1, 0, 0}};

/// Part of a slice: spans along x and y.
struct Rectangle {
    Span x, y;

    friend Rectangle hull(const Rectangle& a, const Rectangle& b) { return {hull(a.x, b.x), hull(a.y, b.y)}; }
};

Span widened(Span span, std::int64_t margin, std::int64_t size) {
    return {std::max<std::int64_t>(0, span.first - margin), std::min(size, span.end + margin)};
}

/// The rectangle around a slice of the region.
Rectangle rectangle_of(const Region& region, std::int64_t z) {
    Rectangle rectangle;
    for (std::int64_t y = 0; y < region.size.y; ++y) {
        const Span row = region.row(y, z);
        if (!row.empty()) rectangle = hull(rectangle, Rectangle{row, {y, y + 1}});
    }
    return rectangle;
}

/// Patch sums of one slab, kept for the current slice and those up to `step` before it.
class PatchSums {
  public:
    PatchSums(const Grid3<float>& image, int step)
        : image_(image),
          size_(image.size),
          step_(step),
          row_stride_(size_.x + 2 * step + kSlack),
          kept_(step + 1),
          ring_(static_cast<std::size_t>(kVolumes * kept_ * size_.y * row_stride_), 0.0f),
          column_(static_cast<std::size_t>(size_.y * size_.x)),
          line_(static_cast<std::size_t>(size_.x + 2 * step + kSlack), 0.0f) {}

    /// Row of volume v at (y, z); readable `step` samples to either side, where it repeats the unshifted values.
    const float* row(int v, std::int64_t y, std::int64_t z) const {
        return ring_.data() + ((v * kept_ + z % kept_) * size_.y + y) * row_stride_ + step_;
    }

    /// Sums of one slice, in the rectangle and `step` around it.
    void compute_slice(std::int64_t z, const Rectangle& wanted) {
        if (wanted.x.empty()) return;
        const Span x = widened(wanted.x, step_, size_.x), y = widened(wanted.y, step_, size_.y);
        const Span summed_x = widened(x, step_, size_.x), summed_y = widened(y, step_, size_.y);
        for (int v = 0; v < kVolumes; ++v) {
            for (std::int64_t row = summed_y.first; row < summed_y.end; ++row) sum_differences_along_z(v, row, z, summed_x);
            for (std::int64_t row = y.first; row < y.end; ++row) finish_row(v, row, z, summed_x, x);
        }
    }

  private:
    void sum_differences_along_z(int v, std::int64_t y, std::int64_t z, Span x) {
        float* out = column_.data() + y * size_.x;
        const Offset o{kNeighbours[v].x * step_, kNeighbours[v].y * step_, kNeighbours[v].z * step_};
        const Span both{std::max<std::int64_t>(x.first, -o.x), std::min<std::int64_t>(x.end, size_.x - o.x)};
        bool any = false;
        if (y + o.y >= 0 && y + o.y < size_.y && !both.empty()) {
            for (std::int64_t s = std::max<std::int64_t>(0, z - step_); s <= std::min(size_.z - 1, z + step_); ++s) {
                if (s + o.z < 0 || s + o.z >= size_.z) continue;
                const float* here = image_.values.data() + (s * size_.y + y) * size_.x + both.first;
                const float* there = here + (o.z * size_.y + o.y) * size_.x + o.x;
                kernels().squared_difference(here, there, both.count(), any, out + both.first);
                any = true;
            }
        }
        if (!any) {
            std::fill(out + x.first, out + x.end, 0.0f);
            return;
        }
        std::fill(out + x.first, out + both.first, 0.0f);
        std::fill(out + both.end, out + x.end, 0.0f);
    }

    void finish_row(int v, std::int64_t y, std::int64_t z, Span summed_x, Span x) {
        const float* rows[2 * kMaximumRadius + 1];
        int row_count = 0;
        for (std::int64_t s = std::max<std::int64_t>(0, y - step_); s <= std::min(size_.y - 1, y + step_); ++s) {
            rows[row_count++] = column_.data() + s * size_.x + summed_x.first;
        }
        kernels().sum_rows(rows, row_count, summed_x.count(), line_.data() + step_ + summed_x.first);
        float* out = ring_.data() + ((v * kept_ + z % kept_) * size_.y + y) * row_stride_ + step_;
        kernels().sum_along(line_.data() + step_ + x.first, step_, x.count(), out + x.first);
        for (std::int64_t t = 0; t < step_; ++t) {
            if (x.first == 0) out[t - step_] = out[std::min(t, size_.x - 1)];
            if (x.end == size_.x) out[size_.x + t] = out[std::max<std::int64_t>(0, size_.x + t - step_)];
        }
    }

    const Grid3<float>& image_;
    Size3 size_;
    int step_;
    std::int64_t row_stride_, kept_;
    std::vector<float> ring_, column_, line_;
};

void compute_slab(const Grid3<float>& image, int step, std::int64_t first, std::int64_t end, Words& words) {
    const Size3 size = image.size;
    // The sums of a slice are read by its own words and by those `step` slices on.
    std::vector<Rectangle> wanted(static_cast<std::size_t>(size.z));
    for (std::int64_t z = first; z < end; ++z) {
        const Rectangle own = rectangle_of(words.region, z);
        for (const std::int64_t s : {z, std::max<std::int64_t>(0, z - step)}) {
            wanted[static_cast<std::size_t>(s)] = hull(wanted[static_cast<std::size_t>(s)], own);
        }
    }
    PatchSums sums(image, step);
    for (std::int64_t z = std::max<std::int64_t>(0, first - step); z < end; ++z) {
        sums.compute_slice(z, wanted[static_cast<std::size_t>(z)]);
        if (z < first) continue;
        for (std::int64_t y = 0; y < size.y; ++y) {
            const Span x = words.region.row(y, z);
            if (x.empty()) continue;
            const float* channels[kChannels];
            for (int c = 0; c < kChannels; ++c) {
                const Offset shift = kShifts[c];
                const std::int64_t sy = y + shift.y * step, sz = z + shift.z * step;
                channels[c] = sums.row(c / 2, sy < 0 || sy >= size.y ? y : sy, sz < 0 ? z : sz) + shift.x * step + x.first;
            }
            kernels().quantise(channels, x.count(), words.row(y, z));
        }
    }
}

}  // namespace

void Words::resize(const Region& new_region) {
    region = new_region;
    start.resize(region.rows.size());
    std::size_t next = 0;
    for (std::size_t row = 0; row < start.size(); ++row) {
        start[row] = next;
        next += static_cast<std::size_t>(region.rows[row].empty() ? 0 : region.rows[row].count());
    }
    values.resize(next);
}

void compute_descriptor(const Grid3<float>& image, int step, const Region& region, ThreadPool& pool, Words& words) {
    words.resize(region);
    // One long slab a thread would repeat the fewest slices; short ones share out better.
    const std::int64_t slab = pool.threads() == 1 ? image.size.z : kSlabSlices;
    pool.run((image.size.z + slab - 1) / slab, [&](std::int64_t s) {
        compute_slab(image, step, s * slab, std::min(image.size.z, (s + 1) * slab), words);
    });
}

}  // namespace deeds
