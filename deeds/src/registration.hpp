// What:          the two registrations: linear (block matching) and deformable (tree-regularised discrete search).
// Source:        Heinrich et al., IEEE TMI 2013 (minimum spanning tree, dense displacement sampling);
//                Heinrich et al., MICCAI 2013 (self-similarity context).
// Complexity:    linear in control points of the body times (2 radius + 1)^3 displacements times samples of a patch.
// Thread safety: every call owns its data and its threads; results do not depend on the number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "transform.hpp"
#include "volume3.hpp"

namespace deeds {

/// Called with a share in [0, 1] and what is being done; may be empty.
using ProgressCallback = std::function<void(double share, const std::string& step)>;

/// One entry a level, coarse to fine.
struct RegistrationSettings {
    std::vector<int> grid_spacing;   ///< voxels between control points
    std::vector<int> search_radius;  ///< displacement steps searched to either side
    std::vector<int> quantization;   ///< voxels of one displacement step
    double alpha = 1.6;              ///< weight of smoothness against similarity, > 0
    int threads = 1;
    ProgressCallback progress;
};

struct LinearSettings {
    std::vector<int> grid_spacing;
    std::vector<int> search_radius;
    std::vector<int> quantization;
    bool rigid = false;        ///< rotation and translation only, in mm
    std::array<double, 3> voxel_mm = {1, 1, 1};  ///< spacing along i, j, k; only a rigid fit uses it
    float background = -1024;  ///< intensity outside the images; patches with a mean below background + 5 are left out
    int threads = 1;
    ProgressCallback progress;
};

struct DeformableResult {
    ControlField forward;   ///< u of moving = M p + u(p)
    ControlField backward;  ///< the same from the affinely warped moving image to the fixed image
    double stdev_jacobian;  ///< on the control grid
    double folding_share;   ///< share of control points with a negative Jacobian determinant
};

/// Peak memory in bytes of a call, images of the given size included. Throws as the call does on settings.
std::int64_t memory_need_linear(Size3 image, const LinearSettings& settings);
std::int64_t memory_need_deformable(Size3 image, const RegistrationSettings& settings);

/// Throws SettingError (settings that do not fit the image) or std::invalid_argument with one line that names image and
/// value: sizes differ, constant image, no valid control point, singular fit.
AffineVox register_linear(const Grid3<float>& fixed, const Grid3<float>& moving, const LinearSettings& settings);
DeformableResult register_deformable(const Grid3<float>& fixed, const Grid3<float>& moving, const AffineVox& affine,
                                     const RegistrationSettings& settings);

}  // namespace deeds
