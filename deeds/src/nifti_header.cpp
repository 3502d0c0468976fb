// What:          see nifti_header.hpp.
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    constant.
// Thread safety: no shared state.
#include "nifti_header.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "errors.hpp"

namespace deeds {
namespace {

template <class T>
T number_at(const unsigned char* bytes, bool swapped) {
    unsigned char copy[sizeof(T)];
    std::memcpy(copy, bytes, sizeof(T));
    if (swapped) std::reverse(copy, copy + sizeof(T));
    T value;
    std::memcpy(&value, copy, sizeof(T));
    return value;
}

template <class T>
void numbers_of(const unsigned char* bytes, std::int64_t count, bool swapped, double* values) {
    for (std::int64_t n = 0; n < count; ++n)
        values[n] = static_cast<double>(number_at<T>(bytes + n * static_cast<std::int64_t>(sizeof(T)), swapped));
}

/// Affine of the quaternion form (nifti1.h, method 2).
AffineVox quaternion_affine(const std::array<double, 3>& quaternion, const std::array<double, 3>& origin,
                            const std::array<double, 3>& spacing, double handedness) {
    double b = quaternion[0], c = quaternion[1], d = quaternion[2];
    double a = 1 - (b * b + c * c + d * d);
    if (a < 1e-7) {
        const double length = std::sqrt(b * b + c * c + d * d);
        b /= length, c /= length, d /= length;
        a = 0;
    } else {
        a = std::sqrt(a);
    }
    const double rotation[3][3] = {
        {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
        {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
        {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c},
    };
    const double scale[3] = {spacing[0], spacing[1], spacing[2] * handedness};
    AffineVox affine;
    for (int row = 0; row < 3; ++row) {
        for (int column = 0; column < 3; ++column) affine.m[row][column] = rotation[row][column] * scale[column];
        affine.m[row][3] = origin[static_cast<std::size_t>(row)];
    }
    return affine;
}

void require_usable(const AffineVox& affine, const std::string& name, const char* source) {
    double scale = 1;
    for (int column = 0; column < 3; ++column) {
        double squared = 0;
        for (int row = 0; row < 3; ++row) squared += affine.m[row][column] * affine.m[row][column];
        scale *= std::sqrt(squared);
    }
    for (const auto& row : affine.m)
        for (const double value : row)
            if (!std::isfinite(value) || std::fabs(value) > 1e9)
                throw FileError(name, std::string(source) + " holds " + std::to_string(value) + ", not a position in mm");
    if (!(scale > 1e-12)) throw FileError(name, std::string(source) + " has a voxel spacing of zero");
    if (!(std::fabs(determinant(affine)) > 1e-6 * scale))
        throw FileError(name, std::string(source) + " is singular (determinant " + std::to_string(determinant(affine)) + ")");
}

AffineVox affine_of_header(const unsigned char* bytes, bool swapped, const std::string& name) {
    const auto real = [&](int offset) { return static_cast<double>(number_at<float>(bytes + offset, swapped)); };
    const int qform_code = number_at<std::int16_t>(bytes + 252, swapped);
    const int sform_code = number_at<std::int16_t>(bytes + 254, swapped);
    const int length_unit = bytes[123] & 7;
    const double millimetres = length_unit == 1 ? 1000.0 : length_unit == 3 ? 0.001 : 1.0;
    AffineVox affine;
    const char* source = "sform";
    if (sform_code > 0) {
        for (int row = 0; row < 3; ++row)
            for (int column = 0; column < 4; ++column) affine.m[row][column] = real(280 + 16 * row + 4 * column);
    } else {
        const std::array<double, 3> spacing = {std::fabs(real(80)), std::fabs(real(84)), std::fabs(real(88))};
        for (const double value : spacing)
            if (!(value > 0) || !std::isfinite(value))
                throw FileError(name, "voxel spacing " + std::to_string(value) + " is not a positive number");
        if (qform_code > 0) {
            source = "qform";
            affine = quaternion_affine({real(256), real(260), real(264)}, {real(268), real(272), real(276)}, spacing,
                                       real(76) < 0 ? -1.0 : 1.0);
        } else {
            source = "voxel spacing";
            for (std::size_t axis = 0; axis < 3; ++axis) affine.m[axis][axis] = spacing[axis];
        }
    }
    for (auto& row : affine.m)
        for (double& value : row) value *= millimetres;
    require_usable(affine, name, source);
    return affine;
}

}  // namespace

StoredType stored_type(int code, const std::string& name) {
    switch (code) {
        case 2: return {1, numbers_of<std::uint8_t>};
        case 4: return {2, numbers_of<std::int16_t>};
        case 8: return {4, numbers_of<std::int32_t>};
        case 16: return {4, numbers_of<float>};
        case 64: return {8, numbers_of<double>};
        case 256: return {1, numbers_of<std::int8_t>};
        case 512: return {2, numbers_of<std::uint16_t>};
        case 768: return {4, numbers_of<std::uint32_t>};
        case 1024: return {8, numbers_of<std::int64_t>};
        case 1280: return {8, numbers_of<std::uint64_t>};
        default: throw FileError(name, "datatype " + std::to_string(code) + " is not supported (integers and real numbers are)");
    }
}

Header header_of(const unsigned char* bytes, const std::string& name, int components) {
    Header header;
    if (number_at<std::int32_t>(bytes, false) != header_bytes) {
        header.swapped = true;
        if (number_at<std::int32_t>(bytes, true) != header_bytes) {
            const bool second = number_at<std::int32_t>(bytes, false) == 540 || number_at<std::int32_t>(bytes, true) == 540;
            throw FileError(name, second ? "is NIfTI-2; NIfTI-1 is needed" : "is not a NIfTI-1 image");
        }
    }
    if (std::memcmp(bytes + 344, "ni1", 4) == 0) throw FileError(name, "is one half of a .hdr/.img pair; a single .nii is needed");
    if (std::memcmp(bytes + 344, "n+1", 4) != 0) throw FileError(name, "is not a NIfTI-1 image (no magic string)");

    std::array<std::int64_t, 8> dimensions{};
    for (std::size_t n = 0; n < 8; ++n) dimensions[n] = number_at<std::int16_t>(bytes + 40 + 2 * n, header.swapped);
    if (dimensions[0] < 1 || dimensions[0] > 7)
        throw FileError(name, "has " + std::to_string(dimensions[0]) + " dimensions, 3 are needed");
    for (std::size_t n = 1; n < 8; ++n) {
        if (static_cast<std::int64_t>(n) > dimensions[0]) dimensions[n] = 1;
        if (dimensions[n] < 1)
            throw FileError(name, "has size " + std::to_string(dimensions[n]) + " along dimension " + std::to_string(n));
    }
    header.geometry.size = {dimensions[1], dimensions[2], dimensions[3]};
    if (dimensions[1] < 2 || dimensions[2] < 2 || dimensions[3] < 2)
        throw FileError(name, "is two-dimensional (" + text_of(header.geometry.size) + "), a volume is needed");
    if (components > 1) {
        if (dimensions[4] != 1 || dimensions[5] != components || dimensions[6] * dimensions[7] != 1)
            throw FileError(name, "holds no field of vectors: sizes X x Y x Z x 1 x " + std::to_string(components) + " are needed");
        const int intent = number_at<std::int16_t>(bytes + 68, header.swapped);
        if (intent != vector_intent)
            throw FileError(name, "has the intent code " + std::to_string(intent) + "; " + std::to_string(vector_intent) +
                                      " is needed (vectors in mm, LPS)");
    } else if (dimensions[5] * dimensions[6] * dimensions[7] != 1)
        throw FileError(name, "has " + std::to_string(dimensions[0]) + " dimensions, 3 are needed");
    header.volumes = dimensions[4];
    header.geometry.to_world = affine_of_header(bytes, header.swapped, name);

    header.datatype = number_at<std::int16_t>(bytes + 70, header.swapped);
    stored_type(header.datatype, name);
    const double offset = static_cast<double>(number_at<float>(bytes + 108, header.swapped));
    if (offset != 0) {
        if (!(offset >= static_cast<double>(data_offset)) || !(offset < 1e15) || offset != std::floor(offset))
            throw FileError(name, "vox_offset " + std::to_string(offset) + " is not a position behind the header");
        header.offset = static_cast<std::int64_t>(offset);
    }
    const double slope = static_cast<double>(number_at<float>(bytes + 112, header.swapped));
    const double inter = static_cast<double>(number_at<float>(bytes + 116, header.swapped));
    if (slope != 0 && !std::isnan(slope)) {
        if (!std::isfinite(slope) || !std::isfinite(inter))
            throw FileError(name, "scaling " + std::to_string(slope) + ", " + std::to_string(inter) + " is not finite");
        header.slope = slope;
        header.inter = inter;
    }
    return header;
}

}  // namespace deeds
