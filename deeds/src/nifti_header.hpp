// What:          the header of a NIfTI-1 file: where its voxels lie, in the world and in the file.
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    constant.
// Thread safety: no shared state.
#pragma once

#include <cstdint>
#include <string>

#include "geometry.hpp"
#include "nifti_format.hpp"

namespace deeds {

/// How numbers of a NIfTI datatype become doubles.
struct StoredType {
    std::int64_t bytes;
    void (*decode)(const unsigned char*, std::int64_t, bool, double*);
};

/// Throws FileError when the datatype is none of integers and real numbers.
StoredType stored_type(int code, const std::string& name);

struct Header {
    bool swapped = false;
    Geometry geometry;
    std::int64_t volumes = 1;
    int datatype = 0;
    std::int64_t offset = data_offset;
    double slope = 1;
    double inter = 0;
};

/// Header in the first 348 bytes of a file. Throws FileError: not NIfTI-1, not three-dimensional, without usable geometry.
/// `components` are the numbers of a voxel: 1, or 3 of a vector with the intent 1007 (LPS).
Header header_of(const unsigned char* bytes, const std::string& name, int components = 1);

}  // namespace deeds
