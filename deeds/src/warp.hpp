// What:          images read through a mapping (pull-back, trilinear) and control fields brought to other grids.
// Source:        this project; control-grid convention of transform.hpp.
// Complexity:    linear in the voxels written.
// Thread safety: slices are shared out to the pool; each writes only its own voxels.
#pragma once

#include "region.hpp"
#include "thread_pool.hpp"
#include "transform.hpp"
#include "volume3.hpp"

namespace deeds {

/// What lies outside the source image.
struct Outside {
    bool replicate;    ///< the nearest voxel of the border
    float background;  ///< this value, when not replicating
};

/// out(p) = source(affine p + field(p)) for the voxels p of the region; `field` may be null; the grid is that of `source`.
void warp_image(const Grid3<float>& source, const AffineVox& affine, const ControlField* field, Outside outside,
                const Region& region, ThreadPool& pool, Grid3<float>& out);

/// Field of zero displacements.
ControlField zero_field(Size3 image, int spacing);

/// The same displacements on the control grid of another spacing.
ControlField resampled(const ControlField& field, int spacing);

}  // namespace deeds
