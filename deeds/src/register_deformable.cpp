// What:          deformable registration: coarse to fine, symmetric, each level solved exactly on a tree.
// Source:        Heinrich et al., IEEE TMI 2013 and MICCAI 2013.
// Complexity:    see registration.hpp.
// Thread safety: see registration.hpp.
#include <algorithm>
#include <stdexcept>

#include "consistency.hpp"
#include "data_cost.hpp"
#include "descriptor.hpp"
#include "errors.hpp"
#include "messages.hpp"
#include "region.hpp"
#include "registration.hpp"
#include "settings_check.hpp"
#include "tree.hpp"
#include "warp.hpp"

namespace deeds {
namespace {

constexpr std::int64_t kLeastControlPoints = 3;
constexpr double kLeastAlpha = 1e-4, kLargestAlpha = 1e4;  // the costs stay well inside single precision
constexpr Outside kReplicate = {true, 0.0f};

class Deformable {
  public:
    Deformable(const Grid3<float>& fixed, const Grid3<float>& moving, const AffineVox& affine,
               const RegistrationSettings& settings, const std::vector<SearchLevel>& levels)
        : fixed_(fixed), moving_(moving), affine_(affine), settings_(settings), levels_(levels), pool_(settings.threads) {
        reserve(fixed.size, levels, cost_);
    }

    DeformableResult run() {
        const bool is_moved = !is_identity(affine_);
        if (is_moved) warp_image(moving_, affine_, nullptr, kReplicate, whole_region(fixed_.size), pool_, aligned_);
        const Grid3<float>& aligned = is_moved ? aligned_ : moving_;
        // Both directions look where either body is.
        const Region body = united(body_region(fixed_), body_region(aligned));
        const ImageOfTree fixed_image{fixed_, standard_deviation(fixed_)}, aligned_image{aligned, standard_deviation(aligned)};
        ControlField forward = zero_field(fixed_.size, levels_.front().spacing), backward = forward;
        int step = 0;
        for (std::size_t l = 0; l < levels_.size(); ++l) {
            const SearchLevel& level = levels_[l];
            report(l, 0.0, "descriptors");
            forward = resampled(forward, level.spacing);
            backward = resampled(backward, level.spacing);
            if (descriptor_step(level.quantization) != step) {
                step = descriptor_step(level.quantization);
                compute_descriptor(fixed_, step, body, pool_, fixed_words_);
                compute_descriptor(aligned, step, body, pool_, aligned_words_);
            }
            const auto [fixed_tree, aligned_tree] = spanning_trees(fixed_image, aligned_image, level.spacing, pool_);
            const ControlPoints points(control_region(body, level.spacing));
            const Region warped = grown(body, descriptor_reach(step));
            const auto describe_warped = [&]() -> const Words& {
                compute_descriptor(warped_, step, body, pool_, warped_words_);
                return warped_words_;
            };
            // At the first level both fields are zero, so the warped images are the ones at hand.
            report(l, 0.1, "forward search");
            if (l > 0) warp_image(moving_, affine_, &forward, kReplicate, warped, pool_, warped_);
            search(fixed_tree, fixed_words_, l > 0 ? describe_warped() : aligned_words_, level, points, forward);
            report(l, 0.5, "backward search");
            if (l > 0) warp_image(fixed_, AffineVox{}, &backward, kReplicate, warped, pool_, warped_);
            search(aligned_tree, aligned_words_, l > 0 ? describe_warped() : fixed_words_, level, points, backward);
            report(l, 0.9, "symmetric update");
            make_consistent(forward, backward, pool_);
        }
        if (settings_.progress) settings_.progress(1.0, "done");
        const JacobianSummary jacobian = jacobian_summary(forward);
        return {std::move(forward), std::move(backward), jacobian.standard_deviation, jacobian.folding_share};
    }

  private:
    /// Adds the labels of least cost to the field.
    void search(const Tree& tree, const Words& words, const Words& compared, const SearchLevel& level,
                const ControlPoints& points, ControlField& field) {
        compute_data_cost(words, compared, level, points, pool_, cost_);
        const float quantization = static_cast<float>(level.quantization);
        std::array<std::vector<float>, 3> base = {field.di, field.dj, field.dk};
        for (auto& axis : base) {
            for (float& value : axis) value /= quantization;
        }
        const std::vector<std::int32_t> labels =
            best_labels(tree, level, level.scale(settings_.alpha), base, points, pool_, cost_.sums);
        const std::int32_t length = level.length();
        const auto displacement = [&](std::int32_t label) {
            return static_cast<float>((label - level.radius) * level.quantization);
        };
        for (std::size_t point = 0; point < labels.size(); ++point) {
            field.di[point] += displacement(labels[point] % length);
            field.dj[point] += displacement(labels[point] / length % length);
            field.dk[point] += displacement(labels[point] / length / length);
        }
    }

    void report(std::size_t level, double share_of_level, const char* step) const {
        if (!settings_.progress) return;
        settings_.progress((static_cast<double>(level) + share_of_level) / static_cast<double>(levels_.size()),
                           "level " + std::to_string(level + 1) + " of " + std::to_string(levels_.size()) + ": " + step);
    }

    const Grid3<float>& fixed_;
    const Grid3<float>& moving_;
    const AffineVox& affine_;
    const RegistrationSettings& settings_;
    const std::vector<SearchLevel>& levels_;
    ThreadPool pool_;
    DataCost cost_;
    Grid3<float> aligned_, warped_;  ///< moving image through the affine map; image through the map so far
    Words fixed_words_, aligned_words_, warped_words_;
};

std::vector<SearchLevel> levels_of(Size3 image, const RegistrationSettings& settings) {
    if (!(settings.alpha >= kLeastAlpha && settings.alpha <= kLargestAlpha)) {
        throw SettingError("alpha", std::to_string(settings.alpha) + " is not within 0.0001 and 10000");
    }
    return checked_levels(settings.grid_spacing, settings.search_radius, settings.quantization, image,
                          kLeastControlPoints);
}

}  // namespace

std::int64_t memory_need_deformable(Size3 image, const RegistrationSettings& settings) {
    // Four images (fixed, moving, aligned, warped), words of three; the tree and the fields take a few numbers a point.
    constexpr std::int64_t kBytesOfVoxel = 4 * sizeof(float) + 3 * sizeof(std::uint64_t);
    constexpr std::int64_t kBytesOfPoint = 160;
    const std::vector<SearchLevel> levels = levels_of(image, settings);
    std::int64_t points = 0;
    for (const SearchLevel& level : levels) points = std::max(points, control_size(image, level.spacing).count());
    return image.count() * kBytesOfVoxel + points * kBytesOfPoint + memory_of_data_cost(image, levels);
}

DeformableResult register_deformable(const Grid3<float>& fixed, const Grid3<float>& moving, const AffineVox& affine,
                                     const RegistrationSettings& settings) {
    check_images(fixed, moving);
    const std::vector<SearchLevel> levels = levels_of(fixed.size, settings);
    return Deformable(fixed, moving, affine, settings, levels).run();
}

}  // namespace deeds
