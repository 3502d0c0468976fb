// What:          the affine or rigid map that carries matched points onto one another, robust to false matches.
// Source:        least trimmed squares (Rousseeuw 1984); Horn's closed form for rotations (1987).
// Complexity:    rounds x matches.
// Thread safety: pure.
#pragma once

#include <array>
#include <vector>

#include "transform.hpp"

namespace deeds {

struct PointMatch {
    std::array<double, 3> fixed, moving;  ///< voxels
};

/// Least squares over all matches, then rounds over the matches whose residual is at most the median.
/// Throws std::invalid_argument when the matches do not determine a map.
AffineVox fit_trimmed(const std::vector<PointMatch>& matches, bool rigid);

}  // namespace deeds
