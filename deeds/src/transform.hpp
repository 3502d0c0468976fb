// What:          the two mappings the program estimates: an affine one and a control-point displacement field.
// Source:        this project; the control-grid convention is that of Heinrich et al., IEEE TMI 2013.
// Complexity:    constant for one point.
// Thread safety: plain values; all functions are pure.
#pragma once

#include <vector>

#include "volume3.hpp"

namespace deeds {

/// Pull-back of voxel indices: moving_ijk = m * [fixed_ijk, 1], NIfTI (i,j,k) order, origin at voxel 0.
struct AffineVox {
    double m[3][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}};
};

bool is_identity(const AffineVox& affine);

/// Displacements on a control grid, in voxels of the image, components along i, j, k (x fastest inside each).
struct ControlField {
    Size3 control;    ///< control points along i, j, k: floor(image / spacing)
    int spacing = 1;  ///< voxels between control points
    Size3 image;      ///< size of the image the field belongs to
    std::vector<float> di, dj, dk;
};

struct Displacement {
    double i, j, k;
};

/// Displacement at a (fractional) fixed voxel: trilinear between control points, whose coordinate is
/// voxel * control / image (zero-aligned, no half-cell offset), clamped at the border.
Displacement displacement_at(const ControlField& field, double i, double j, double k);

/// Dense displacements of every voxel of field.image: one grid a component, same rule as displacement_at.
struct DenseField {
    Grid3<float> di, dj, dk;
};
DenseField dense_field(const ControlField& field);

AffineVox inverse(const AffineVox& transform);
AffineVox composed(const AffineVox& outer, const AffineVox& inner);  ///< outer after inner

}  // namespace deeds
