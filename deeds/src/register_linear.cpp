// What:          linear registration: block matching in both directions and a trimmed fit, coarse to fine.
// Source:        Heinrich et al., IEEE TMI 2013 (dense displacement sampling) and MICCAI 2013 (descriptor).
// Complexity:    see registration.hpp.
// Thread safety: see registration.hpp.
#include <algorithm>
#include <stdexcept>

#include "affine_fit.hpp"
#include "data_cost.hpp"
#include "descriptor.hpp"
#include "region.hpp"
#include "registration.hpp"
#include "settings_check.hpp"
#include "warp.hpp"

namespace deeds {
namespace {

constexpr std::int64_t kLeastControlPoints = 6;
constexpr std::int64_t kBorderCells = 2;      ///< control points this near to the border are left out
constexpr double kExactMatch = 0.1;            ///< a least cost below this share of its neighbours' has no remainder
constexpr std::int64_t kLookedBeyond = 4;      ///< voxels around the region in which the other image is looked at
constexpr float kForegroundThreshold = 5.0f;  ///< least mean of a patch above the background

/// The displacement of least cost at one control point.
struct BlockMatch {
    std::array<double, 3> centre;        ///< of the patch, voxels
    std::array<double, 3> displacement;  ///< voxels
};

class Linear {
  public:
    Linear(const Grid3<float>& fixed, const Grid3<float>& moving, const LinearSettings& settings,
           const std::vector<SearchLevel>& levels)
        : fixed_(fixed), moving_(moving), settings_(settings), levels_(levels), pool_(settings.threads) {
        reserve(fixed.size, levels, cost_);
    }

    AffineVox run() {
        AffineVox map;
        const Region fixed_body = body_region(fixed_), moving_body = body_region(moving_);
        for (std::size_t l = 0; l < levels_.size(); ++l) {
            const SearchLevel& level = levels_[l];
            // The edge of a body is seen from outside as well, half as far as words reach.
            const std::int64_t edge = descriptor_reach(descriptor_step(level.quantization)) / 2;
            const Region fixed_seen = grown(fixed_body, edge), moving_seen = grown(moving_body, edge);
            const AffineVox back = inverse(map);
            report(l, 0.0);
            std::vector<PointMatch> matches;
            for (const BlockMatch& m : match(fixed_, fixed_seen, moving_, map, l == 0 ? moving_seen : fixed_seen, level)) {
                matches.push_back({m.centre, mapped(map, m)});
            }
            // Matches of one direction lean to one side: the last map is fitted to both, the others only lead to it.
            if (l + 1 == levels_.size()) {
                report(l, 0.5);
                for (const BlockMatch& m : match(moving_, moving_seen, fixed_, back, l == 0 ? fixed_seen : moving_seen, level)) {
                    matches.push_back({mapped(back, m), m.centre});
                }
            }
            map = fit(std::move(matches));
        }
        if (settings_.progress) settings_.progress(1.0, "done");
        return map;
    }

  private:
    AffineVox fit(std::vector<PointMatch> matches) const {
        if (!settings_.rigid) return fit_trimmed(matches, false);
        AffineVox to_mm, to_voxels;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            to_mm.m[axis][axis] = settings_.voxel_mm[axis];
            to_voxels.m[axis][axis] = 1 / settings_.voxel_mm[axis];
            for (PointMatch& m : matches) {
                m.fixed[axis] *= settings_.voxel_mm[axis];
                m.moving[axis] *= settings_.voxel_mm[axis];
            }
        }
        return composed(to_voxels, composed(fit_trimmed(matches, true), to_mm));
    }

    static std::array<double, 3> mapped(const AffineVox& map, const BlockMatch& match) {
        std::array<double, 3> out{};
        for (std::size_t r = 0; r < 3; ++r) {
            out[r] = map.m[r][3];
            for (std::size_t c = 0; c < 3; ++c) out[r] += map.m[r][c] * (match.centre[c] + match.displacement[c]);
        }
        return out;
    }

    /// Words of an image seen through a map, in a region of the other image's grid.
    void describe(const Grid3<float>& image, const AffineVox& map, const Region& region, int step, Words& words) {
        if (is_identity(map)) {
            compute_descriptor(image, step, region, pool_, words);
            return;
        }
        const Outside outside = {false, settings_.background};
        warp_image(image, map, nullptr, outside, grown(region, descriptor_reach(step)), pool_, warped_);
        compute_descriptor(warped_, step, region, pool_, words);
    }

    /// The displacement of least cost at every valid control point of the region; the trimmed fit leaves out what disagrees.
    std::vector<BlockMatch> match(const Grid3<float>& image, const Region& region, const Grid3<float>& other,
                                  const AffineVox& to_other, const Region& other_region, const SearchLevel& level) {
        const int step = descriptor_step(level.quantization);
        compute_descriptor(image, step, region, pool_, words_);
        describe(other, to_other, grown(other_region, kLookedBeyond), step, compared_words_);
        const ControlPoints points(control_region(region, level.spacing));
        compute_data_cost(words_, compared_words_, level, points, pool_, cost_);
        smooth_costs(level, points);
        const Size3 control = points.region.size;
        const std::size_t labels = static_cast<std::size_t>(level.labels());
        std::vector<BlockMatch> matches;
        for (std::int64_t c = kBorderCells; c < control.z - kBorderCells; ++c) {
            for (std::int64_t b = kBorderCells; b < control.y - kBorderCells; ++b) {
                const Span row = points.region.row(b, c);
                for (std::int64_t a = std::max(kBorderCells, row.first); a < std::min(control.x - kBorderCells, row.end); ++a) {
                    if (patch_mean(image, a, b, c, level.spacing) < settings_.background + kForegroundThreshold) continue;
                    const float* costs = smooth_.data() + static_cast<std::size_t>(points.slot(a, b, c)) * labels;
                    const std::int64_t best = std::min_element(costs, costs + labels) - costs;
                    matches.push_back(block_match({a, b, c}, best, costs, level));
                }
            }
        }
        return matches;
    }

    static BlockMatch block_match(const std::array<std::int64_t, 3>& cell, std::int64_t label, const float* costs,
                                  const SearchLevel& level) {
        BlockMatch match{};
        std::int64_t rest = label, step = 1;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const std::int64_t place = rest % level.length();
            const bool inner = place > 0 && place + 1 < level.length();
            const double between = inner ? offset_of_minimum(costs + label, step) : 0;
            match.centre[axis] = static_cast<double>(cell[axis] * level.spacing) + 0.5 * (level.spacing - 1);
            match.displacement[axis] = (static_cast<double>(place - level.radius) + between) * level.quantization;
            rest /= level.length();
            step *= level.length();
        }
        return match;
    }

    /// Where the least cost lies between whole steps, in steps: two lines of equal and opposite slope through it and its
    /// neighbours meet there, since Hamming costs grow like a distance, not like its square; an exact match stays.
    /// Whole steps alone would leave every remaining error below half a voxel unseen.
    static double offset_of_minimum(const float* least, std::int64_t step) {
        const double here = static_cast<double>(*least), before = static_cast<double>(least[-step]),
                     after = static_cast<double>(least[step]);
        const double rise = std::max(before, after) - here;
        return here <= kExactMatch * std::min(before, after) || rise <= 0 ? 0 : 0.5 * (before - after) / rise;
    }

    static float patch_mean(const Grid3<float>& image, std::int64_t a, std::int64_t b, std::int64_t c, int spacing) {
        double sum = 0;
        for (std::int64_t z = c * spacing; z < (c + 1) * spacing; ++z) {
            for (std::int64_t y = b * spacing; y < (b + 1) * spacing; ++y) {
                const float* row = image.values.data() + image.index(a * spacing, y, z);
                for (int x = 0; x < spacing; ++x) sum += static_cast<double>(row[x]);
            }
        }
        return static_cast<float>(sum / spacing / spacing / spacing);
    }

    /// Adds half of both neighbours along i, j and k, in place and so recursively, to every label's costs; a point that
    /// lacks a neighbour stays as it is.
    void smooth_costs(const SearchLevel& level, const ControlPoints& points) {
        const Size3 control = points.region.size;
        const std::int64_t labels = level.labels();
        smooth_.assign(cost_.sums.begin(), cost_.sums.begin() + points.count * labels);
        const std::int64_t count[3] = {control.x, control.y, control.z};
        for (int axis = 0; axis < 3; ++axis) {
            const int other = axis == 0 ? 1 : 0, last = axis == 2 ? 1 : 2;
            pool_.run(count[other] * count[last], [&](std::int64_t line) {
                std::int64_t at[3] = {};
                at[other] = line % count[other];
                at[last] = line / count[other];
                const auto costs_at = [&](std::int64_t n) -> float* {
                    at[axis] = n;
                    if (!points.contains(at[0], at[1], at[2])) return nullptr;
                    return smooth_.data() + points.slot(at[0], at[1], at[2]) * labels;
                };
                for (std::int64_t n = 1; n + 1 < count[axis]; ++n) {
                    const float* before = costs_at(n - 1);
                    float* here = costs_at(n);
                    const float* after = costs_at(n + 1);
                    if (before == nullptr || here == nullptr || after == nullptr) continue;
                    for (std::int64_t x = 0; x < labels; ++x) here[x] += 0.5f * (before[x] + after[x]);
                }
            });
        }
    }

    void report(std::size_t level, double share_of_level) const {
        if (!settings_.progress) return;
        settings_.progress((static_cast<double>(level) + share_of_level) / static_cast<double>(levels_.size()),
                           "linear level " + std::to_string(level + 1) + " of " + std::to_string(levels_.size()));
    }

    const Grid3<float>& fixed_;
    const Grid3<float>& moving_;
    const LinearSettings& settings_;
    const std::vector<SearchLevel>& levels_;
    ThreadPool pool_;
    DataCost cost_;
    std::vector<float> smooth_;  ///< [control point][label]
    Grid3<float> warped_;
    Words words_, compared_words_;
};

}  // namespace

std::int64_t memory_need_linear(Size3 image, const LinearSettings& settings) {
    // Three images and the words of three; smoothed costs are floats beside the sixteen-bit sums.
    constexpr std::int64_t kBytesOfVoxel = 3 * sizeof(float) + 3 * sizeof(std::uint64_t);
    const std::vector<SearchLevel> levels = checked_levels(settings.grid_spacing, settings.search_radius,
                                                           settings.quantization, image, kLeastControlPoints);
    std::int64_t costs = 0;
    for (const SearchLevel& level : levels) {
        costs = std::max(costs, control_size(image, level.spacing).count() * level.labels());
    }
    return image.count() * kBytesOfVoxel + costs * static_cast<std::int64_t>(sizeof(float)) +
           memory_of_data_cost(image, levels);
}

AffineVox register_linear(const Grid3<float>& fixed, const Grid3<float>& moving, const LinearSettings& settings) {
    check_images(fixed, moving);
    const std::vector<SearchLevel> levels = checked_levels(settings.grid_spacing, settings.search_radius,
                                                           settings.quantization, fixed.size, kLeastControlPoints);
    return Linear(fixed, moving, settings, levels).run();
}

}  // namespace deeds
