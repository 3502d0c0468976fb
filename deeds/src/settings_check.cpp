// What:          see settings_check.hpp.
// Source:        this project.
// Complexity:    see settings_check.hpp.
// Thread safety: see settings_check.hpp.
#include "settings_check.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "errors.hpp"
#include "kernels.hpp"

namespace deeds {
namespace {

constexpr int kMaximumSpacing = 16;       // sums of patches fit sixteen bits up to here
constexpr int kMaximumQuantization = 16;  // descriptor patches of up to 9 voxels to either side

void check_range(const char* name, int value, int largest) {
    if (value >= 1 && value <= largest) return;
    throw SettingError(name, std::to_string(value) + " is not within 1 and " + std::to_string(largest));
}

std::string text(Size3 size) {
    return std::to_string(size.x) + "x" + std::to_string(size.y) + "x" + std::to_string(size.z);
}

void check_image(const Grid3<float>& image, const char* name) {
    if (image.values.size() != static_cast<std::size_t>(image.size.count()) || image.values.empty()) {
        throw std::invalid_argument(std::string(name) + " image: " + std::to_string(image.values.size()) +
                                    " voxels do not make the size " + text(image.size));
    }
    // Written so that a compiler compares many voxels at a time; NaN is not below anything.
    std::int64_t bad = 0;
    for (const float value : image.values) bad += std::fabs(value) <= std::numeric_limits<float>::max() ? 0 : 1;
    if (bad > 0) {
        throw std::invalid_argument(std::string(name) + " image: " + std::to_string(bad) +
                                    " voxels are NaN or infinite");
    }
    const float first = image.values.front();
    if (std::all_of(image.values.begin(), image.values.end(), [first](float value) { return value == first; })) {
        throw std::invalid_argument(std::string(name) + " image is constant (every voxel " + std::to_string(first) + ")");
    }
}

}  // namespace

std::vector<SearchLevel> checked_levels(const std::vector<int>& grid_spacing, const std::vector<int>& search_radius,
                                        const std::vector<int>& quantization, Size3 image,
                                        std::int64_t least_control) {
    if (grid_spacing.empty() || grid_spacing.size() != search_radius.size() ||
        grid_spacing.size() != quantization.size()) {
        throw SettingError("grid-spacing", "grid spacings, search radii and quantizations have " +
                                               std::to_string(grid_spacing.size()) + ", " +
                                               std::to_string(search_radius.size()) + " and " +
                                               std::to_string(quantization.size()) +
                                               " entries; give each one entry a level");
    }
    std::vector<SearchLevel> levels;
    for (std::size_t l = 0; l < grid_spacing.size(); ++l) {
        check_range("grid-spacing", grid_spacing[l], kMaximumSpacing);
        check_range("search-radius", search_radius[l], kMaximumRadius);
        check_range("quantization", quantization[l], kMaximumQuantization);
        levels.push_back({grid_spacing[l], search_radius[l], quantization[l]});
        const Size3 control = control_size(image, grid_spacing[l]);
        if (std::min({control.x, control.y, control.z}) < least_control) {
            throw SettingError("grid-spacing", std::to_string(grid_spacing[l]) + " leaves " + text(control) +
                                                   " control points in an image of " + text(image) +
                                                   "; each axis needs " + std::to_string(least_control));
        }
    }
    return levels;
}

void check_images(const Grid3<float>& fixed, const Grid3<float>& moving) {
    if (fixed.size != moving.size) {
        throw std::invalid_argument("sizes differ: fixed image " + text(fixed.size) + ", moving image " +
                                    text(moving.size));
    }
    check_image(fixed, "fixed");
    check_image(moving, "moving");
}

}  // namespace deeds
