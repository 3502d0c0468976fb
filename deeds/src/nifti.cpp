// What:          NIfTI-1 images (.nii, .nii.gz) in memory and on disk.
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    linear in the voxels.
// Thread safety: no shared state.
#include "nifti.hpp"

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
#include <memory>
#include <utility>

namespace deeds {
namespace {

constexpr std::int64_t header_bytes = 348;
constexpr std::int64_t data_offset = 352;
constexpr std::int64_t chunk_bytes = 1 << 20;
constexpr std::int64_t largest_deflate_ratio = 1032;  // zlib technical details: the most a byte can expand to
constexpr std::int16_t intent_vector = 1007;

struct GzipCloser {
    void operator()(gzFile_s* file) const { gzclose(file); }
};
using GzipHandle = std::unique_ptr<gzFile_s, GzipCloser>;

bool ends_with(const std::string& text, const std::string& ending) {
    return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

std::int64_t machine_memory() {
    const std::int64_t pages = sysconf(_SC_PHYS_PAGES);
    const std::int64_t page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? pages * page : std::numeric_limits<std::int64_t>::max();
}

// --------------------------------------------------------------------------------------------------------------------
// Numbers in a file

bool machine_is_little_endian() {
    const std::uint16_t one = 1;
    unsigned char first = 0;
    std::memcpy(&first, &one, 1);
    return first == 1;
}

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
void put(std::vector<unsigned char>& header, std::size_t offset, T value) {
    unsigned char copy[sizeof(T)];
    std::memcpy(copy, &value, sizeof(T));
    if (!machine_is_little_endian()) std::reverse(copy, copy + sizeof(T));
    std::memcpy(header.data() + offset, copy, sizeof(T));
}

template <class T>
void numbers_of(const unsigned char* bytes, std::int64_t count, bool swapped, double* values) {
    for (std::int64_t n = 0; n < count; ++n)
        values[n] = static_cast<double>(number_at<T>(bytes + n * static_cast<std::int64_t>(sizeof(T)), swapped));
}

struct StoredType {
    std::int64_t bytes;
    void (*decode)(const unsigned char*, std::int64_t, bool, double*);
};

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

// --------------------------------------------------------------------------------------------------------------------
// Header

struct Header {
    bool swapped = false;
    Geometry geometry;
    std::int64_t volumes = 1;
    int datatype = 0;
    std::int64_t offset = data_offset;
    double slope = 1;
    double inter = 0;
};

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

Header header_of(const unsigned char* bytes, const std::string& name) {
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
    if (dimensions[5] * dimensions[6] * dimensions[7] != 1)
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

std::int64_t chosen_volume(const Header& header, const std::string& name, const ReadOptions& options) {
    if (!options.volume) {
        if (header.volumes > 1)
            throw FileError(name, "holds " + std::to_string(header.volumes) + " volumes: choose one with --volume N");
        return 0;
    }
    if (*options.volume < 0 || *options.volume >= header.volumes)
        throw FileError(name, "--volume " + std::to_string(*options.volume) + " is not one of its " +
                                  std::to_string(header.volumes) + " volumes (counted from 0)");
    return *options.volume;
}

std::int64_t filled(const ByteSource& source, unsigned char* buffer, std::int64_t bytes) {
    std::int64_t got = 0;
    while (got < bytes) {
        const std::int64_t more = source(buffer + got, bytes - got);
        if (more <= 0) break;
        got += more;
    }
    return got;
}

Header read_header(const ByteSource& source, const std::string& name) {
    unsigned char bytes[header_bytes];
    const std::int64_t got = filled(source, bytes, header_bytes);
    if (got < header_bytes)
        throw FileError(name, "ends after " + std::to_string(got) + " bytes, a NIfTI-1 header has " + std::to_string(header_bytes));
    return header_of(bytes, name);
}

/// Bytes of voxels before and up to the end of a volume, refused when they cannot be there or do not fit in memory.
std::int64_t skipped_bytes(const Header& header, std::int64_t volume, std::int64_t voxel_bytes, std::int64_t available,
                           const std::string& name, const ReadOptions& options) {
    const std::int64_t voxels = header.geometry.size.count();  // three 15-bit numbers: fits
    std::int64_t volume_bytes = 0, before = 0, end = 0;
    const bool overflow = __builtin_mul_overflow(voxels, voxel_bytes, &volume_bytes) ||
                          __builtin_mul_overflow(volume_bytes, volume, &before) ||
                          __builtin_add_overflow(before, header.offset, &before) ||
                          __builtin_add_overflow(before, volume_bytes, &end);
    if (overflow || end > available)
        throw FileError(name, "is truncated: " + text_of(header.geometry.size) + " voxels need " +
                                  (overflow ? std::string("more than 2^63") : std::to_string(end)) +
                                  " bytes, at most " + std::to_string(available) + " are there");
    const std::int64_t limit = options.memory_limit > 0 ? options.memory_limit : machine_memory();
    if (voxels > limit / static_cast<std::int64_t>(sizeof(float)))
        throw FileError(name, text_of(header.geometry.size) + " voxels need " + std::to_string(voxels / (1 << 18)) +
                                  " MiB of memory, the limit is " + std::to_string(limit >> 20) + " MiB");
    return before - header_bytes;
}

void skip(const ByteSource& source, std::int64_t bytes, const std::string& name) {
    std::vector<unsigned char> buffer(static_cast<std::size_t>(std::min(bytes, chunk_bytes)));
    while (bytes > 0) {
        const std::int64_t step = std::min(bytes, chunk_bytes);
        if (filled(source, buffer.data(), step) < step) throw FileError(name, "is truncated before its voxels");
        bytes -= step;
    }
}

/// Voxels of the source, scaled; returns how many were not finite (after nan_to took their place, if it is given).
std::int64_t read_voxels(const ByteSource& source, const Header& header, const ReadOptions& options, const std::string& name,
                         Grid3<float>& grid) {
    const StoredType type = stored_type(header.datatype, name);
    const std::int64_t count = grid.size.count();
    const std::int64_t step = chunk_bytes / type.bytes;
    const double largest = static_cast<double>(std::numeric_limits<float>::max());
    std::vector<unsigned char> bytes(static_cast<std::size_t>(std::min(count, step) * type.bytes));
    std::vector<double> numbers(static_cast<std::size_t>(std::min(count, step)));
    std::int64_t not_finite = 0;
    for (std::int64_t first = 0; first < count; first += step) {
        const std::int64_t part = std::min(step, count - first);
        const std::int64_t got = filled(source, bytes.data(), part * type.bytes);
        if (got < part * type.bytes)
            throw FileError(name, "is truncated: " + std::to_string((first * type.bytes + got) / type.bytes) + " of " +
                                      std::to_string(count) + " voxels are there");
        type.decode(bytes.data(), part, header.swapped, numbers.data());
        float* out = grid.values.data() + first;
        for (std::int64_t n = 0; n < part; ++n) {
            const double value = numbers[static_cast<std::size_t>(n)] * header.slope + header.inter;
            if (std::fabs(value) <= largest) {
                out[n] = static_cast<float>(value);
            } else {
                ++not_finite;
                out[n] = options.nan_to ? static_cast<float>(*options.nan_to) : 0.0f;
            }
        }
    }
    return not_finite;
}

// --------------------------------------------------------------------------------------------------------------------
// Files

struct OpenImage {
    GzipHandle file;
    std::int64_t available = 0;
    ByteSource source;
};

OpenImage open_image(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) throw FileError(path, std::string("cannot be read: ") + std::strerror(errno));
    if (!S_ISREG(status.st_mode)) throw FileError(path, "is not a file");
    require_image_name(path);
    const bool named_gzip = ends_with(path, ".gz");

    OpenImage image;
    image.file.reset(gzopen(path.c_str(), "rb"));
    if (!image.file) throw FileError(path, std::string("cannot be read: ") + std::strerror(errno));
    gzbuffer(image.file.get(), static_cast<unsigned>(chunk_bytes / 4));
    unsigned char magic[2] = {0, 0};
    {
        std::FILE* raw = std::fopen(path.c_str(), "rb");
        if (raw == nullptr) throw FileError(path, std::string("cannot be read: ") + std::strerror(errno));
        const std::size_t got = std::fread(magic, 1, 2, raw);
        std::fclose(raw);
        if (got < 2) throw FileError(path, "is empty");
    }
    const bool gzip = magic[0] == 0x1f && magic[1] == 0x8b;
    if (named_gzip && !gzip) throw FileError(path, "is named .gz but is not gzip-compressed");
    if (!named_gzip && gzip) throw FileError(path, "is gzip-compressed but is not named .nii.gz");
    image.available = gzip ? static_cast<std::int64_t>(status.st_size) * largest_deflate_ratio : static_cast<std::int64_t>(status.st_size);
    gzFile_s* handle = image.file.get();
    image.source = [handle, path](void* buffer, std::int64_t capacity) -> std::int64_t {
        const int got = gzread(handle, buffer, static_cast<unsigned>(std::min(capacity, chunk_bytes)));
        int code = Z_OK;
        const char* reason = gzerror(handle, &code);
        if (code == Z_BUF_ERROR) throw FileError(path, "is truncated (its gzip data end too early)");
        if (got < 0) throw FileError(path, std::string("is damaged (") + (code == Z_ERRNO ? std::strerror(errno) : reason) + ")");
        return got;
    };
    return image;
}

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

}  // namespace

Image read_image_from(const ByteSource& source, std::int64_t available, const std::string& name, const ReadOptions& options) {
    const Header header = read_header(source, name);
    const std::int64_t volume = chosen_volume(header, name, options);
    const std::int64_t before =
        skipped_bytes(header, volume, stored_type(header.datatype, name).bytes, available, name, options);
    skip(source, before, name);
    Image image;
    image.path = name;
    image.geometry = header.geometry;
    image.voxels = Grid3<float>(header.geometry.size);
    const std::int64_t not_finite = read_voxels(source, header, options, name, image.voxels);
    if (not_finite > 0 && !options.nan_to)
        throw FileError(name, std::to_string(not_finite) + " voxels are NaN or infinite: replace them with --nan-to VALUE");
    if (volume == header.volumes - 1) {  // reading past the end makes zlib compare the checksum
        unsigned char byte = 0;
        source(&byte, 1);
    }
    return image;
}

Image read_image(const std::string& path, const ReadOptions& options) {
    const OpenImage file = open_image(path);
    return read_image_from(file.source, file.available, path, options);
}

Image read_labels(const std::string& path, const ReadOptions& options) {
    constexpr float largest_exact = 16777216.0f;
    Image image = read_image(path, options);
    for (const float value : image.voxels.values)
        if (value != std::round(value) || std::fabs(value) > largest_exact)
            throw FileError(path, "is not a label map: it holds " + std::to_string(value) +
                                      ", labels are whole numbers up to 16777216");
    return image;
}

Geometry read_geometry(const std::string& path) {
    const OpenImage file = open_image(path);
    return read_header(file.source, path).geometry;
}

void require_contrast(const Image& image) {
    const auto [least, most] = std::minmax_element(image.voxels.values.begin(), image.voxels.values.end());
    if (*least == *most) throw FileError(image.path, "is constant: every voxel is " + std::to_string(*least));
}

// --------------------------------------------------------------------------------------------------------------------
// Writing

PendingFile::PendingFile(std::string path) : path_(std::move(path)) {
    struct stat status {};
    if (stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) throw FileError(path_, "cannot be written: it is not a file");
    const std::string folder = folder_of(path_);
    temporary_path_ = folder + "." + path_.substr(folder.size()) + "." + std::to_string(getpid()) + ".part";
    const int file = open(temporary_path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
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

namespace {

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
            if (gzwrite(file_.get(), next, part) != static_cast<int>(part)) fail();
            next += part;
            bytes -= part;
        }
    }
    void close() {
        if (gzclose(file_.release()) != Z_OK) fail();
    }

  private:
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
    if (components > 1) put(header, 68, intent_vector);
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
