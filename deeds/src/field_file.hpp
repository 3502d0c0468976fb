// What:          the files of a finished registration: <stem>_matrix.txt, <stem>_displacements.dat and their sidecars .json.
// Source:        layouts of text and raw file as published with the method (Heinrich et al., IEEE TMI 2013 and its programs).
// Complexity:    linear in the control points.
// Thread safety: no shared state.
//
// _matrix.txt         four lines of four numbers, the transpose of the 4x4 matrix M: moving_ijk = M fixed_ijk, in voxels of the
//                     registration grid, origin at voxel 0.
// _displacements.dat  float32 little-endian, no header: displacements along j, then along i, then along k, in voxels of the
//                     registration grid; inside a block i is fastest.
// .json               grid, geometry and (for displacements) the affine mapping the field was estimated on.
#pragma once

#include <string>
#include <vector>

#include "mapping.hpp"
#include "nifti.hpp"
#include "pair_geometry.hpp"

namespace deeds {

std::string matrix_path(const std::string& stem);                ///< <stem>_matrix.txt
std::string displacements_path(const std::string& stem);         ///< <stem>_displacements.dat
std::string displacements_sidecar_path(const std::string& stem); ///< <stem>_displacements.json
std::string matrix_sidecar_path(const std::string& matrix_file); ///< x_matrix.txt -> x_matrix.json

/// Matrix text and sidecar ready to be committed.
std::vector<PendingFile> matrix_files(const std::string& stem, const AffineVox& affine, const PairGeometry& geometry);

/// Displacements and sidecar ready to be committed. `registration.field` must be there.
std::vector<PendingFile> displacement_files(const std::string& stem, const Registration& registration);

/// Matrix exactly as the text says. Throws FileError: not 4x4 finite numbers, last column not (0,0,0,1), determinant <= 0.
AffineVox read_matrix(const std::string& path);

/// Matrix in the voxels of `geometry`: converted through world coordinates when a sidecar names another grid.
AffineVox read_matrix_for(const std::string& path, const PairGeometry& geometry);

/// Registration that displacement_files wrote. Throws FileError; sizes that disagree are named with both numbers.
Registration read_registration(const std::string& stem);

/// Geometry and matrix of an affine registration that matrix_files wrote; throws FileError without a sidecar.
Registration read_affine_registration(const std::string& matrix_file);

/// Displacements without a sidecar, for an image of `size` registered with finest grid spacing `grid_spacing`.
ControlField read_displacements(const std::string& path, Size3 size, int grid_spacing);

bool file_exists(const std::string& path);

}  // namespace deeds
