// What:          NIfTI-1 images (.nii, .nii.gz) in memory and on disk.
// Source:        NIfTI-1.1 data format, nifti1.h of the NIfTI Data Format Working Group.
// Complexity:    linear in the voxels; memory of a reading is four bytes a voxel plus a fixed buffer.
// Thread safety: no shared state; different files may be read and written at the same time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "errors.hpp"
#include "geometry.hpp"
#include "volume3.hpp"

namespace deeds {

/// A scalar image: its voxels (scl_slope and scl_inter applied) and where they lie.
struct Image {
    std::string path;
    Geometry geometry;
    Grid3<float> voxels;
};

/// Vectors, one grid a component, and where they lie.
struct VectorImage {
    std::string path;
    Geometry geometry;
    std::array<Grid3<float>, 3> parts;
};

struct ReadOptions {
    std::optional<double> nan_to;        ///< replaces NaN and infinite voxels; without it they are refused
    std::optional<std::int64_t> volume;  ///< index into the fourth dimension; without it only one volume is accepted
    std::int64_t memory_limit = std::numeric_limits<std::int64_t>::max();  ///< bytes the work may take
    std::int64_t bytes_of_voxel = sizeof(float);  ///< that the work takes for every voxel of this image
};

/// Voxel types that are written.
enum class VoxelType : std::int16_t { uint8 = 2, int16 = 4, int32 = 8, float32 = 16 };

/// Image in a file. Understands (u)int8 to (u)int64, float32, float64, both byte orders, vox_offset, scaling, sform and qform.
/// Throws FileError: not found, not NIfTI-1, damaged, unsupported, not three-dimensional, without usable geometry, too large,
/// NaN or infinite voxels.
Image read_image(const std::string& path, const ReadOptions& options = {});

/// Vector field in a file, as vector_file writes it. Throws FileError as read_image does, and for what is no such field.
VectorImage read_vectors(const std::string& path, const ReadOptions& options = {});

/// Image whose voxels must all be whole numbers (a label map).
Image read_labels(const std::string& path, const ReadOptions& options = {});

/// Size and position of an image without its voxels.
Geometry read_geometry(const std::string& path);

/// Throws FileError when all voxels are equal.
void require_contrast(const Image& image);

/// A file under a temporary name beside its final one. `commit` gives it the final name; without it the file is removed.
class PendingFile {
  public:
    explicit PendingFile(std::string path);  ///< throws FileError when the folder cannot be written
    PendingFile(PendingFile&& other) noexcept;
    PendingFile(const PendingFile&) = delete;
    PendingFile& operator=(const PendingFile&) = delete;
    PendingFile& operator=(PendingFile&&) = delete;
    ~PendingFile();

    const std::string& path() const { return path_; }
    const std::string& temporary_path() const { return temporary_path_; }
    void write(const void* data, std::size_t bytes);  ///< the whole content of the file
    void commit();

  private:
    std::string path_;
    std::string temporary_path_;
};

/// Throws FileError unless `path` is named .nii or .nii.gz.
void require_image_name(const std::string& path);

/// Throws FileError when `path` cannot be written; leaves nothing behind. For the beginning of long work.
void require_writable(const std::string& path);

/// Gives several files their final names, once all of them are complete.
void commit_all(std::vector<PendingFile>& files);

/// Image file ready to be committed; gzip-compressed when the name ends in .gz. Integer types round to the nearest value they hold.
PendingFile image_file(const std::string& path, const Geometry& geometry, const Grid3<float>& voxels, VoxelType type);

/// Label map ready to be committed: int16 where that holds all labels, int32 otherwise.
PendingFile labels_file(const std::string& path, const Geometry& geometry, const Grid3<float>& labels);

/// Vector field ready to be committed: five-dimensional float32, intent code 1007 (vector), one grid a component.
PendingFile vector_file(const std::string& path, const Geometry& geometry, const Grid3<float>& x, const Grid3<float>& y,
                        const Grid3<float>& z);

/// Reads at most `capacity` bytes of an uncompressed image into `buffer` and returns how many.
using ByteSource = std::function<std::int64_t(void* buffer, std::int64_t capacity)>;

/// Image from any source of bytes; `available` bounds the bytes it can deliver. What read_image does after opening a file.
Image read_image_from(const ByteSource& source, std::int64_t available, const std::string& name, const ReadOptions& options);

/// Vector field likewise.
VectorImage read_vectors_from(const ByteSource& source, std::int64_t available, const std::string& name, const ReadOptions& options);

}  // namespace deeds
