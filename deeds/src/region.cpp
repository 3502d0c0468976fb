// What:          see region.hpp.
// Source:        see region.hpp.
// Complexity:    see region.hpp.
// Thread safety: see region.hpp.
#include "region.hpp"

#include <optional>

namespace deeds {
namespace {

constexpr std::int64_t kBlock = 4;            ///< the body is outlined in blocks of this many voxels a side
constexpr std::int64_t kLeastOfBlock = 16;    ///< voxels of the body in a block that belongs to it: a quarter
constexpr float kDarkShare = 0.0625f;         ///< of the range of intensities: what the surroundings may vary by
constexpr double kLeastDarkBorder = 0.6;      ///< share of the outermost voxels that are surroundings, if there are any
constexpr std::int64_t kSampledStep = 3;      ///< one voxel in so many along each axis tells the range of intensities

float quantile(std::vector<float>& values, double share) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

std::vector<float> sampled_voxels(const Grid3<float>& image) {
    std::vector<float> values;
    for (std::int64_t z = 0; z < image.size.z; z += kSampledStep) {
        for (std::int64_t y = 0; y < image.size.y; y += kSampledStep) {
            for (std::int64_t x = 0; x < image.size.x; x += kSampledStep) values.push_back(image.at(x, y, z));
        }
    }
    return values;
}

/// The outermost voxels along i and j; along k a body is often cut off.
std::vector<float> border_voxels(const Grid3<float>& image) {
    const Size3 size = image.size;
    std::vector<float> values;
    for (std::int64_t z = 0; z < size.z; ++z) {
        for (const std::int64_t y : {std::int64_t{0}, size.y - 1}) {
            const float* row = image.values.data() + image.index(0, y, z);
            values.insert(values.end(), row, row + size.x);
        }
        for (std::int64_t y = 0; y < size.y; ++y) {
            values.push_back(image.at(0, y, z));
            values.push_back(image.at(size.x - 1, y, z));
        }
    }
    return values;
}

/// Largest intensity of the surroundings; nothing where the border does not show any.
std::optional<float> largest_of_surroundings(const Grid3<float>& image) {
    std::vector<float> all = sampled_voxels(image), border = border_voxels(image);
    const float low = quantile(all, 0.01), range = quantile(all, 0.99) - low;
    const float middle = quantile(border, 0.5);
    if (middle > low + kDarkShare * range) return std::nullopt;
    const float largest = middle + kDarkShare * range;
    const auto dark = std::count_if(border.begin(), border.end(), [largest](float v) { return v <= largest; });
    if (static_cast<double>(dark) < kLeastDarkBorder * static_cast<double>(border.size())) return std::nullopt;
    return largest;
}

/// Blocks with enough voxels above `largest`, as spans of blocks.
Region bright_blocks(const Grid3<float>& image, float largest) {
    const Size3 size = image.size;
    const Size3 blocks{(size.x + kBlock - 1) / kBlock, (size.y + kBlock - 1) / kBlock, (size.z + kBlock - 1) / kBlock};
    Region found(blocks, {});
    std::vector<std::int32_t> bright(static_cast<std::size_t>(size.x)), count(static_cast<std::size_t>(blocks.x));
    for (std::int64_t c = 0; c < blocks.z; ++c) {
        for (std::int64_t b = 0; b < blocks.y; ++b) {
            std::fill(bright.begin(), bright.end(), 0);
            for (std::int64_t z = c * kBlock; z < std::min(size.z, (c + 1) * kBlock); ++z) {
                for (std::int64_t y = b * kBlock; y < std::min(size.y, (b + 1) * kBlock); ++y) {
                    const float* row = image.values.data() + image.index(0, y, z);
                    for (std::size_t x = 0; x < bright.size(); ++x) bright[x] += row[x] > largest ? 1 : 0;
                }
            }
            std::fill(count.begin(), count.end(), 0);
            for (std::size_t x = 0; x < bright.size(); ++x) count[x / kBlock] += bright[x];
            for (std::int64_t a = 0; a < blocks.x; ++a) {
                if (count[static_cast<std::size_t>(a)] >= kLeastOfBlock) found.row(b, c) = hull(found.row(b, c), {a, a + 1});
            }
        }
    }
    return found;
}

}  // namespace

std::int64_t Region::count() const {
    std::int64_t sum = 0;
    for (const Span& span : rows) sum += span.count();
    return sum;
}

Region body_region(const Grid3<float>& image) {
    const std::optional<float> largest = largest_of_surroundings(image);
    if (!largest) return whole_region(image.size);
    const Region blocks = grown(bright_blocks(image, *largest), 1);
    Region body(image.size, {});
    for (std::int64_t z = 0; z < image.size.z; ++z) {
        for (std::int64_t y = 0; y < image.size.y; ++y) {
            const Span span = blocks.row(y / kBlock, z / kBlock);
            body.row(y, z) = {span.first * kBlock, std::min(span.end * kBlock, image.size.x)};
        }
    }
    return body.count() > 0 ? body : whole_region(image.size);
}

Region united(const Region& a, const Region& b) {
    Region out = a;
    for (std::size_t row = 0; row < out.rows.size(); ++row) out.rows[row] = hull(a.rows[row], b.rows[row]);
    return out;
}

Region grown(const Region& region, std::int64_t margin) {
    const Size3 size = region.size;
    Region along_y(size, {}), out(size, {});
    for (std::int64_t z = 0; z < size.z; ++z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            for (std::int64_t s = std::max<std::int64_t>(0, y - margin); s <= std::min(size.y - 1, y + margin); ++s) {
                along_y.row(y, z) = hull(along_y.row(y, z), region.row(s, z));
            }
        }
    }
    for (std::int64_t z = 0; z < size.z; ++z) {
        for (std::int64_t y = 0; y < size.y; ++y) {
            Span span;
            for (std::int64_t s = std::max<std::int64_t>(0, z - margin); s <= std::min(size.z - 1, z + margin); ++s) {
                span = hull(span, along_y.row(y, s));
            }
            if (span.empty()) continue;
            out.row(y, z) = {std::max<std::int64_t>(0, span.first - margin), std::min(size.x, span.end + margin)};
        }
    }
    return out;
}

Region control_region(const Region& region, int spacing) {
    const Size3 size{region.size.x / spacing, region.size.y / spacing, region.size.z / spacing};
    Region control(size, {});
    for (std::int64_t c = 0; c < size.z; ++c) {
        for (std::int64_t b = 0; b < size.y; ++b) {
            Span span;
            for (std::int64_t z = c * spacing; z < (c + 1) * spacing; ++z) {
                for (std::int64_t y = b * spacing; y < (b + 1) * spacing; ++y) span = hull(span, region.row(y, z));
            }
            if (span.empty()) continue;
            control.row(b, c) = {std::min(span.first / spacing, size.x), std::min((span.end + spacing - 1) / spacing, size.x)};
        }
    }
    return control;
}

}  // namespace deeds
