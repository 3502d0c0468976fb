// What:          writing of NIfTI-1 images (.nii, .nii.gz), complete or not at all.
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    linear in the voxels.
// Thread safety: no shared state.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "nifti.hpp"
#include "nifti_format.hpp"

namespace deeds {
namespace {


std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

template <class T>
void put(std::vector<unsigned char>& header, std::size_t offset, T value) {
    unsigned char copy[sizeof(T)];
    std::memcpy(copy, &value, sizeof(T));
    if (!machine_is_little_endian()) std::reverse(copy, copy + sizeof(T));
    std::memcpy(header.data() + offset, copy, sizeof(T));
}

/// Bytes in order into a file, compressed when its final name ends in .gz.
class ByteSink {
  public:
    explicit ByteSink(const PendingFile& target) : path_(target.path()) {
        const char* mode = ends_with(path_, ".gz") ? "wb1" : "wbT";
        file_.reset(gzopen(target.temporary_path().c_str(), mode));
        if (!file_) fail();
        gzbuffer(file_.get(), static_cast<unsigned>(chunk_bytes / 4));
    }
    void write(const void* data, std::size_t bytes) {
        const auto* next = static_cast<const unsigned char*>(data);
        while (bytes > 0) {
            const auto part = static_cast<unsigned>(std::min(bytes, static_cast<std::size_t>(chunk_bytes)));
            if (ends_with(path_, ".gz")) gzsetparams(file_.get(), 1, strategy_for(next, part));
            if (gzwrite(file_.get(), next, part) != static_cast<int>(part)) fail();
            next += part;
            bytes -= part;
        }
    }
    void close() {
        if (gzclose(file_.release()) != Z_OK) fail();
    }

  private:
    /// A search for repeated bytes pays where neighbouring voxels are equal, as in air and label maps; in noise it finds
    /// nothing and takes three times as long as the coding of single bytes.
    static int strategy_for(const unsigned char* data, std::size_t bytes) {
        constexpr std::size_t word = 4;
        std::size_t equal = 0;
        for (std::size_t at = word; at + word <= bytes; at += word) equal += std::memcmp(data + at, data + at - word, word) == 0;
        return equal * word * 8 > bytes ? Z_DEFAULT_STRATEGY : Z_HUFFMAN_ONLY;
    }

    [[noreturn]] void fail() const { throw FileError(path_, std::string("cannot be written: ") + std::strerror(errno)); }
    std::string path_;
    GzipHandle file_;
};

/// Quaternion (b, c, d) of a rotation matrix, columns of unit length, determinant 1.
std::array<double, 3> quaternion_of(const double (&r)[3][3]) {
    const double a2 = 1 + r[0][0] + r[1][1] + r[2][2];
    double a, b, c, d;
    if (a2 > 0.5) {
        a = 0.5 * std::sqrt(a2);
        b = 0.25 * (r[2][1] - r[1][2]) / a;
        c = 0.25 * (r[0][2] - r[2][0]) / a;
        d = 0.25 * (r[1][0] - r[0][1]) / a;
    } else {
        const double xd = 1 + r[0][0] - r[1][1] - r[2][2];
        const double yd = 1 + r[1][1] - r[0][0] - r[2][2];
        const double zd = 1 + r[2][2] - r[0][0] - r[1][1];
        if (xd >= yd && xd >= zd) {
            b = 0.5 * std::sqrt(xd);
            c = 0.25 * (r[0][1] + r[1][0]) / b;
            d = 0.25 * (r[0][2] + r[2][0]) / b;
            a = 0.25 * (r[2][1] - r[1][2]) / b;
        } else if (yd >= zd) {
            c = 0.5 * std::sqrt(yd);
            b = 0.25 * (r[0][1] + r[1][0]) / c;
            d = 0.25 * (r[1][2] + r[2][1]) / c;
            a = 0.25 * (r[0][2] - r[2][0]) / c;
        } else {
            d = 0.5 * std::sqrt(zd);
            b = 0.25 * (r[0][2] + r[2][0]) / d;
            c = 0.25 * (r[1][2] + r[2][1]) / d;
            a = 0.25 * (r[1][0] - r[0][1]) / d;
        }
        if (a < 0) b = -b, c = -c, d = -d;
    }
    return {b, c, d};
}

void put_geometry(std::vector<unsigned char>& header, const Geometry& geometry) {
    const AffineVox& affine = geometry.to_world;
    const Point3 spacing = spacing_of(affine);
    const double lengths[3] = {spacing.x, spacing.y, spacing.z};
    const double handedness = determinant(affine) < 0 ? -1 : 1;
    double rotation[3][3];
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 3; ++column)
            rotation[row][column] = affine.m[row][column] / lengths[column] * (column == 2 ? handedness : 1);
    double skew = 0;
    for (int first = 0; first < 3; ++first)
        for (int second = first + 1; second < 3; ++second) {
            double product = 0;
            for (int row = 0; row < 3; ++row) product += rotation[row][first] * rotation[row][second];
            skew = std::max(skew, std::fabs(product));
        }
    put(header, 76, static_cast<float>(handedness));
    for (std::size_t axis = 0; axis < 3; ++axis) put(header, 80 + 4 * axis, static_cast<float>(lengths[axis]));
    if (skew < 1e-4) {  // a sheared grid has no quaternion form
        const auto quaternion = quaternion_of(rotation);
        put(header, 252, std::int16_t{1});
        for (std::size_t n = 0; n < 3; ++n) {
            put(header, 256 + 4 * n, static_cast<float>(quaternion[n]));
            put(header, 268 + 4 * n, static_cast<float>(affine.m[n][3]));
        }
    }
    put(header, 254, std::int16_t{1});
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t column = 0; column < 4; ++column)
            put(header, 280 + 16 * row + 4 * column, static_cast<float>(affine.m[row][column]));
}

std::vector<unsigned char> header_for(const std::string& path, const Geometry& geometry, VoxelType type, int components) {
    std::vector<unsigned char> header(static_cast<std::size_t>(data_offset), 0);
    const std::int64_t sizes[3] = {geometry.size.x, geometry.size.y, geometry.size.z};
    const int dimensions = components > 1 ? 5 : 3;
    put(header, 0, static_cast<std::int32_t>(header_bytes));
    put(header, 40, static_cast<std::int16_t>(dimensions));
    for (std::size_t axis = 0; axis < 3; ++axis) {
        if (sizes[axis] > std::numeric_limits<std::int16_t>::max())
            throw FileError(path, "cannot be written: " + text_of(geometry.size) + " is too large for NIfTI-1");
        put(header, 42 + 2 * axis, static_cast<std::int16_t>(sizes[axis]));
    }
    for (std::size_t n = 4; n < 8; ++n) {
        put(header, 40 + 2 * n, static_cast<std::int16_t>(n == 5 ? components : 1));
        put(header, 76 + 4 * n, 1.0f);
    }
    if (components > 1) put(header, 68, vector_intent);
    const bool wide = type == VoxelType::int32 || type == VoxelType::float32;
    put(header, 70, static_cast<std::int16_t>(type));
    put(header, 72, static_cast<std::int16_t>(wide ? 32 : type == VoxelType::int16 ? 16 : 8));
    put(header, 108, static_cast<float>(data_offset));
    put(header, 112, 1.0f);
    header[123] = 2;  // millimetres
    put_geometry(header, geometry);
    std::memcpy(header.data() + 344, "n+1", 4);
    return header;
}

template <class T>
void write_as(ByteSink& sink, const std::vector<float>& values) {
    std::vector<unsigned char> buffer;
    const std::size_t step = static_cast<std::size_t>(chunk_bytes) / sizeof(T);
    for (std::size_t first = 0; first < values.size(); first += step) {
        const std::size_t part = std::min(step, values.size() - first);
        buffer.resize(part * sizeof(T));
        for (std::size_t n = 0; n < part; ++n) {
            const double value = static_cast<double>(values[first + n]);
            if constexpr (std::is_floating_point_v<T>) {
                put(buffer, n * sizeof(T), static_cast<T>(value));
            } else {
                const double least = static_cast<double>(std::numeric_limits<T>::lowest());
                const double most = static_cast<double>(std::numeric_limits<T>::max());
                put(buffer, n * sizeof(T), static_cast<T>(std::clamp(std::round(value), least, most)));
            }
        }
        sink.write(buffer.data(), buffer.size());
    }
}

}  // namespace

PendingFile::PendingFile(std::string path) : path_(std::move(path)) {
    struct stat status {};
    if (stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) throw FileError(path_, "cannot be written: it is not a file");
    const std::string folder = folder_of(path_);
    temporary_path_ = folder + "." + path_.substr(folder.size()) + "." + std::to_string(getpid()) + ".part";
    const int file = open(temporary_path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
    if (file < 0 && errno == ENOENT)
        throw FileError(path_, "cannot be written: the folder " + folder + " does not exist; make it");
    if (file < 0) throw FileError(path_, std::string("cannot be written: ") + std::strerror(errno));
    close(file);
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : path_(std::move(other.path_)), temporary_path_(std::exchange(other.temporary_path_, {})) {}

PendingFile::~PendingFile() {
    if (!temporary_path_.empty()) unlink(temporary_path_.c_str());
}

void PendingFile::write(const void* data, std::size_t bytes) {
    std::FILE* file = std::fopen(temporary_path_.c_str(), "wb");
    bool complete = file != nullptr && std::fwrite(data, 1, bytes, file) == bytes;
    if (file != nullptr) complete = std::fclose(file) == 0 && complete;
    if (!complete) throw FileError(path_, std::string("cannot be written: ") + std::strerror(errno));
}

void PendingFile::commit() {
    if (std::rename(temporary_path_.c_str(), path_.c_str()) != 0)
        throw FileError(path_, std::string("cannot be written: ") + std::strerror(errno));
    temporary_path_.clear();
}

void require_image_name(const std::string& path) {
    if (!ends_with(path, ".nii") && !ends_with(path, ".nii.gz")) throw FileError(path, "must be named .nii or .nii.gz");
}

void require_writable(const std::string& path) { PendingFile{path}; }

void commit_all(std::vector<PendingFile>& files) {
    for (PendingFile& file : files) file.commit();
}

PendingFile image_file(const std::string& path, const Geometry& geometry, const Grid3<float>& voxels, VoxelType type) {
    const auto header = header_for(path, geometry, type, 1);
    PendingFile file(path);
    ByteSink sink(file);
    sink.write(header.data(), header.size());
    switch (type) {
        case VoxelType::uint8: write_as<std::uint8_t>(sink, voxels.values); break;
        case VoxelType::int16: write_as<std::int16_t>(sink, voxels.values); break;
        case VoxelType::int32: write_as<std::int32_t>(sink, voxels.values); break;
        case VoxelType::float32: write_as<float>(sink, voxels.values); break;
    }
    sink.close();
    return file;
}

PendingFile labels_file(const std::string& path, const Geometry& geometry, const Grid3<float>& labels) {
    const auto [least, most] = std::minmax_element(labels.values.begin(), labels.values.end());
    const bool narrow = labels.values.empty() || (*least >= -32768.0f && *most <= 32767.0f);
    return image_file(path, geometry, labels, narrow ? VoxelType::int16 : VoxelType::int32);
}

PendingFile vector_file(const std::string& path, const Geometry& geometry, const Grid3<float>& x, const Grid3<float>& y,
                        const Grid3<float>& z) {
    const auto header = header_for(path, geometry, VoxelType::float32, 3);
    PendingFile file(path);
    ByteSink sink(file);
    sink.write(header.data(), header.size());
    for (const Grid3<float>* component : {&x, &y, &z}) write_as<float>(sink, component->values);
    sink.close();
    return file;
}

}  // namespace deeds
