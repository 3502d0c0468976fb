// What:          reading of NIfTI-1 images (.nii, .nii.gz).
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    linear in the voxels.
// Thread safety: no shared state.
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "nifti.hpp"
#include "nifti_format.hpp"
#include "nifti_header.hpp"

namespace deeds {
namespace {

constexpr std::int64_t largest_deflate_ratio = 1032;  // zlib technical details: the most a byte can expand to

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

Header read_header(const ByteSource& source, const std::string& name, int components = 1) {
    unsigned char bytes[header_bytes];
    const std::int64_t got = filled(source, bytes, header_bytes);
    if (got < header_bytes)
        throw FileError(name, "ends after " + std::to_string(got) + " bytes, a NIfTI-1 header has " + std::to_string(header_bytes));
    return header_of(bytes, name, components);
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
    if (voxels > options.memory_limit / options.bytes_of_voxel)
        throw FileError(name, text_of(header.geometry.size) + " voxels need " + std::to_string((voxels * options.bytes_of_voxel >> 20) + 1) +
                                  " MiB of memory, the limit is " + std::to_string(options.memory_limit >> 20) + " MiB");
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

VectorImage read_vectors_from(const ByteSource& source, std::int64_t available, const std::string& name, const ReadOptions& options) {
    VectorImage image;
    const Header header = read_header(source, name, static_cast<int>(image.parts.size()));
    const std::int64_t bytes = stored_type(header.datatype, name).bytes;
    skipped_bytes(header, static_cast<std::int64_t>(image.parts.size()) - 1, bytes, available, name, options);
    skip(source, header.offset - header_bytes, name);
    image.path = name;
    image.geometry = header.geometry;
    std::int64_t not_finite = 0;
    for (auto& part : image.parts) {
        part = Grid3<float>(header.geometry.size);
        not_finite += read_voxels(source, header, options, name, part);
    }
    if (not_finite > 0 && !options.nan_to)
        throw FileError(name, std::to_string(not_finite) + " numbers are NaN or infinite: replace them with --nan-to VALUE");
    unsigned char byte = 0;  // reading past the end makes zlib compare the checksum
    source(&byte, 1);
    return image;
}

VectorImage read_vectors(const std::string& path, const ReadOptions& options) {
    const OpenImage file = open_image(path);
    return read_vectors_from(file.source, file.available, path, options);
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
    const std::vector<float>& values = image.voxels.values;
    const float first = values.empty() ? 0.0f : values.front();
    if (std::all_of(values.begin(), values.end(), [first](float value) { return value == first; }))
        throw FileError(image.path, "is constant: every voxel is " + std::to_string(first));
}

}  // namespace deeds
