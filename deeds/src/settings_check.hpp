// What:          the conditions that both registrations put on images and levels, checked before work begins.
// Source:        this project.
// Complexity:    linear in the voxels (NaN and constant images).
// Thread safety: pure.
#pragma once

#include <vector>

#include "data_cost.hpp"
#include "volume3.hpp"

namespace deeds {

/// The three lists as levels. Throws SettingError naming list and value: counts differ or are 0, an entry
/// is out of range, fewer than `least_control` control points on an axis.
std::vector<SearchLevel> checked_levels(const std::vector<int>& grid_spacing, const std::vector<int>& search_radius,
                                        const std::vector<int>& quantization, Size3 image, std::int64_t least_control);

/// Throws std::invalid_argument: sizes differ, a voxel is not finite, an image is constant.
void check_images(const Grid3<float>& fixed, const Grid3<float>& moving);

}  // namespace deeds
