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

    void compute_slice(std::int64_t z) {
        for (int v = 0; v < kVolumes; ++v) {
            for (std::int64_t y = 0; y < size_.y; ++y) sum_differences_along_z(v, y, z);
            for (std::int64_t y = 0; y < size_.y; ++y) finish_row(v, y, z);
        }
    }

  private:
    void sum_differences_along_z(int v, std::int64_t y, std::int64_t z) {
        float* out = column_.data() + y * size_.x;
        const Offset o{kNeighbours[v].x * step_, kNeighbours[v].y * step_, kNeighbours[v].z * step_};
        const std::int64_t first_x = std::max<std::int64_t>(0, -o.x);
        const std::int64_t count = std::max<std::int64_t>(0, size_.x - std::abs(o.x));
        bool any = false;
        if (y + o.y >= 0 && y + o.y < size_.y && count > 0) {
            for (std::int64_t s = std::max<std::int64_t>(0, z - step_); s <= std::min(size_.z - 1, z + step_); ++s) {
                if (s + o.z < 0 || s + o.z >= size_.z) continue;
                const float* here = image_.values.data() + (s * size_.y + y) * size_.x + first_x;
                const float* there = here + (o.z * size_.y + o.y) * size_.x + o.x;
                kernels().squared_difference(here, there, count, any, out + first_x);
                any = true;
            }
        }
        if (!any) {
            std::fill(out, out + size_.x, 0.0f);
            return;
        }
        std::fill(out, out + first_x, 0.0f);
        std::fill(out + first_x + count, out + size_.x, 0.0f);
    }

    void finish_row(int v, std::int64_t y, std::int64_t z) {
        const float* rows[2 * kMaximumRadius + 1];
        int row_count = 0;
        for (std::int64_t s = std::max<std::int64_t>(0, y - step_); s <= std::min(size_.y - 1, y + step_); ++s) {
            rows[row_count++] = column_.data() + s * size_.x;
        }
        kernels().sum_rows(rows, row_count, size_.x, line_.data() + step_);
        float* out = ring_.data() + ((v * kept_ + z % kept_) * size_.y + y) * row_stride_ + step_;
        kernels().sum_along(line_.data() + step_, step_, size_.x, out);
        for (std::int64_t x = 0; x < step_; ++x) {
            out[x - step_] = out[std::min(x, size_.x - 1)];
            out[size_.x + x] = out[std::max<std::int64_t>(0, size_.x + x - step_)];
        }
    }

    const Grid3<float>& image_;
    Size3 size_;
    int step_;
    std::int64_t row_stride_, kept_;
    std::vector<float> ring_, column_, line_;
};

void compute_slab(const Grid3<float>& image, int step, std::int64_t first, std::int64_t end,
                  Grid3<std::uint64_t>& words) {
    const Size3 size = image.size;
    PatchSums sums(image, step);
    for (std::int64_t z = std::max<std::int64_t>(0, first - step); z < first; ++z) sums.compute_slice(z);
    for (std::int64_t z = first; z < end; ++z) {
        sums.compute_slice(z);
        for (std::int64_t y = 0; y < size.y; ++y) {
            const float* channels[kChannels];
            for (int c = 0; c < kChannels; ++c) {
                const Offset shift = kShifts[c];
                const std::int64_t sy = y + shift.y * step, sz = z + shift.z * step;
                channels[c] = sums.row(c / 2, sy < 0 || sy >= size.y ? y : sy, sz < 0 ? z : sz) + shift.x * step;
            }
            kernels().quantise(channels, size.x, words.values.data() + words.index(0, y, z));
        }
    }
}

}  // namespace

void compute_descriptor(const Grid3<float>& image, int step, ThreadPool& pool, Grid3<std::uint64_t>& words) {
    words.size = image.size;
    words.values.resize(static_cast<std::size_t>(image.size.count()));
    // One long slab a thread would repeat the fewest slices; short ones share out better.
    const std::int64_t slab = pool.threads() == 1 ? image.size.z : kSlabSlices;
    pool.run((image.size.z + slab - 1) / slab, [&](std::int64_t s) {
        compute_slab(image, step, s * slab, std::min(image.size.z, (s + 1) * slab), words);
    });
}

}  // namespace deeds
