// Reader and writer of NIfTI-1 against headers made by hand: every type, both byte orders, scaling, offsets, damage.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "nifti.hpp"

using namespace deeds;

namespace {

std::filesystem::path folder;

std::string in_folder(const std::string& name) { return (folder / name).string(); }

/// A header and voxels under construction, in a chosen byte order (of a little-endian machine).
struct Bytes {
    bool big_endian = false;
    std::vector<unsigned char> content = std::vector<unsigned char>(352, 0);

    template <class T>
    void put(std::size_t offset, T value) {
        unsigned char raw[sizeof(T)];
        std::memcpy(raw, &value, sizeof(T));
        if (big_endian) std::reverse(raw, raw + sizeof(T));
        if (content.size() < offset + sizeof(T)) content.resize(offset + sizeof(T));
        std::memcpy(content.data() + offset, raw, sizeof(T));
    }
    template <class T>
    void append(T value) {
        put(content.size(), value);
    }
    void save(const std::string& path) const {
        std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
    }
};

constexpr int voxel_count = 24;

/// 2x3x4 voxels of 1.5 x 2 x 2.5 mm, sform with origin (10, 20, 30); no voxels yet.
Bytes header(int datatype, bool big_endian) {
    Bytes bytes;
    bytes.big_endian = big_endian;
    bytes.put(0, std::int32_t{348});
    const std::int16_t dimensions[8] = {3, 2, 3, 4, 1, 1, 1, 1};
    for (std::size_t n = 0; n < 8; ++n) bytes.put(40 + 2 * n, dimensions[n]);
    bytes.put(70, static_cast<std::int16_t>(datatype));
    const float spacing[4] = {1, 1.5f, 2, 2.5f};
    for (std::size_t n = 0; n < 4; ++n) bytes.put(76 + 4 * n, spacing[n]);
    bytes.put(108, 352.0f);
    bytes.put(254, std::int16_t{1});
    const float rows[3][4] = {{1.5f, 0, 0, 10}, {0, 2, 0, 20}, {0, 0, 2.5f, 30}};
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t column = 0; column < 4; ++column) bytes.put(280 + 16 * row + 4 * column, rows[row][column]);
    std::memcpy(bytes.content.data() + 344, "n+1", 4);
    return bytes;
}

template <class T>
Bytes image_of(int datatype, bool big_endian) {
    Bytes bytes = header(datatype, big_endian);
    for (int n = 0; n < voxel_count; ++n) bytes.append(static_cast<T>(n + 3));
    return bytes;
}

template <class T>
void check_type(int datatype) {
    for (const bool big_endian : {false, true}) {
        const std::string path = in_folder("type.nii");
        image_of<T>(datatype, big_endian).save(path);
        const Image image = read_image(path);
        CHECK(image.geometry.size == (Size3{2, 3, 4}));
        for (int n = 0; n < voxel_count; ++n) CHECK(image.voxels.values[static_cast<std::size_t>(n)] == static_cast<float>(n + 3));
        CHECK(image.voxels.at(1, 2, 3) == 26.0f);
        CHECK_NEAR(image.geometry.to_world.m[2][3], 30, 0);
    }
}

void types() {
    check_type<std::uint8_t>(2);
    check_type<std::int16_t>(4);
    check_type<std::int32_t>(8);
    check_type<float>(16);
    check_type<double>(64);
    check_type<std::int8_t>(256);
    check_type<std::uint16_t>(512);
    check_type<std::uint32_t>(768);
    check_type<std::int64_t>(1024);
    check_type<std::uint64_t>(1280);
    const std::string path = in_folder("unknown.nii");
    image_of<std::uint8_t>(128, false).save(path);
    CHECK_REFUSED(read_image(path), "unknown.nii: datatype 128");
}

void scaling_and_offset() {
    Bytes bytes = header(4, false);
    bytes.put(112, 0.5f);
    bytes.put(116, -1000.0f);
    bytes.put(108, 368.0f);
    for (int n = 0; n < 8; ++n) bytes.append(std::int16_t{77});  // 16 bytes of extension
    for (int n = 0; n < voxel_count; ++n) bytes.append(static_cast<std::int16_t>(n));
    const std::string path = in_folder("scaled.nii");
    bytes.save(path);
    const Image image = read_image(path);
    CHECK_NEAR(image.voxels.values[0], -1000, 0);
    CHECK_NEAR(image.voxels.values[23], -988.5, 0);
    bytes.put(112, 0.0f);  // slope 0: unscaled
    bytes.save(path);
    CHECK_NEAR(read_image(path).voxels.values[23], 23, 0);
    bytes.put(112, std::numeric_limits<float>::infinity());
    bytes.save(path);
    CHECK_REFUSED(read_image(path), "is not finite");
    bytes.put(112, 1.0f);
    for (const float offset : {100.0f, 352.5f, -4.0f, std::numeric_limits<float>::quiet_NaN()}) {
        bytes.put(108, offset);
        bytes.save(path);
        CHECK_REFUSED(read_image(path), "vox_offset");
    }
    bytes.put(108, 1e9f);
    bytes.save(path);
    CHECK_REFUSED(read_image(path), "is truncated");
}

void geometry_forms() {
    const std::string path = in_folder("geometry.nii");
    Bytes bytes = image_of<std::uint8_t>(2, false);
    bytes.put(254, std::int16_t{0});
    bytes.put(252, std::int16_t{1});
    // a quarter turn about z: i runs to +y, j to -x; qfac -1 turns k over
    bytes.put(264, std::sqrt(0.5f));
    bytes.put(268, 5.0f);
    bytes.put(76, -1.0f);
    bytes.save(path);
    const AffineVox turned = read_geometry(path).to_world;
    CHECK_NEAR(turned.m[1][0], 1.5, 1e-6);
    CHECK_NEAR(turned.m[0][1], -2, 1e-6);
    CHECK_NEAR(turned.m[2][2], -2.5, 1e-6);
    CHECK_NEAR(turned.m[0][3], 5, 0);
    bytes.put(252, std::int16_t{0});
    bytes.save(path);
    CHECK_NEAR(read_geometry(path).to_world.m[1][1], 2, 0);
    bytes.put(84, 0.0f);
    bytes.save(path);
    CHECK_REFUSED(read_geometry(path), "voxel spacing 0");

    Bytes singular = image_of<std::uint8_t>(2, false);
    singular.put(280, 0.0f);
    singular.save(path);
    CHECK_REFUSED(read_geometry(path), "spacing of zero");
    singular.put(280 + 4, 2.0f);
    singular.put(280 + 16, 0.0f);
    singular.put(280, 2.0f);
    singular.put(280 + 16 + 4, 0.0f);
    singular.save(path);
    CHECK_REFUSED(read_geometry(path), "singular");
    singular.put(280, std::numeric_limits<float>::quiet_NaN());
    singular.save(path);
    CHECK_REFUSED(read_geometry(path), "not a position");
}

void dimensions() {
    const std::string path = in_folder("dimensions.nii");
    Bytes flat = image_of<std::uint8_t>(2, false);
    flat.put(46, std::int16_t{1});
    flat.save(path);
    CHECK_REFUSED(read_image(path), "two-dimensional (2x3x1)");
    flat.put(46, std::int16_t{-4});
    flat.save(path);
    CHECK_REFUSED(read_image(path), "size -4");
    for (const int wrong : {0, 8, -1}) {
        flat.put(40, static_cast<std::int16_t>(wrong));
        flat.save(path);
        CHECK_REFUSED(read_image(path), "dimensions, 3 are needed");
    }

    Bytes two = header(2, false);
    two.put(40, std::int16_t{4});
    two.put(48, std::int16_t{2});
    for (int n = 0; n < 2 * voxel_count; ++n) two.append(static_cast<std::uint8_t>(n));
    two.save(path);
    CHECK_REFUSED(read_image(path), "holds 2 volumes");
    ReadOptions second;
    second.volume = 1;
    CHECK_NEAR(read_image(path, second).voxels.values[0], 24, 0);
    second.volume = 2;
    CHECK_REFUSED(read_image(path, second), "--volume 2");
    two.put(48, std::int16_t{1});
    two.save(path);
    CHECK_NEAR(read_image(path).voxels.values[5], 5, 0);

    Bytes huge = header(64, false);
    huge.put(40, std::int16_t{4});
    for (std::size_t n = 1; n < 5; ++n) huge.put(40 + 2 * n, std::int16_t{32767});
    huge.save(path);
    ReadOptions last;
    last.volume = 32766;
    CHECK_REFUSED(read_image(path, last), "is truncated");
    ReadOptions small;
    small.memory_limit = 90;
    image_of<std::uint8_t>(2, false).save(path);
    CHECK_REFUSED(read_image(path, small), "the limit is 0 MiB");
}

void damage() {
    const Bytes good = image_of<float>(16, false);
    const std::string path = in_folder("damaged.nii");
    CHECK_REFUSED(read_image(in_folder("absent.nii")), "absent.nii: cannot be read: No such file");
    CHECK_REFUSED(read_image(folder.string()), "is not a file");
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{352}, good.content.size() - 1}) {
        Bytes part = good;
        part.content.resize(length);
        part.save(path);
        CHECK_REFUSED(read_image(path), "damaged.nii: ");
    }
    Bytes text;
    text.content.assign(1000, 'x');
    text.save(path);
    CHECK_REFUSED(read_image(path), "is not a NIfTI-1 image");
    text.save(in_folder("text.nii.gz"));
    CHECK_REFUSED(read_image(in_folder("text.nii.gz")), "not gzip-compressed");
    CHECK_REFUSED(require_image_name("image.mha"), "must be named .nii or .nii.gz");

    Bytes not_finite = good;
    not_finite.put(352, std::numeric_limits<float>::quiet_NaN());
    not_finite.put(356, -std::numeric_limits<float>::infinity());
    not_finite.save(path);
    CHECK_REFUSED(read_image(path), "2 voxels are NaN or infinite");
    ReadOptions replaced;
    replaced.nan_to = -5;
    CHECK_NEAR(read_image(path, replaced).voxels.values[1], -5, 0);
    CHECK_NEAR(read_image(path, replaced).voxels.values[2], 5, 0);

    Bytes fractions = good;
    fractions.put(352, 0.5f);
    fractions.save(path);
    CHECK_REFUSED(read_labels(path), "not a label map");

    Image constant;
    constant.path = "c.nii";
    constant.voxels = Grid3<float>(Size3{2, 2, 2}, 3.0f);
    CHECK_REFUSED(require_contrast(constant), "c.nii: is constant");
}

void compressed_damage() {
    Grid3<float> voxels(Size3{20, 20, 20});
    for (std::size_t n = 0; n < voxels.values.size(); ++n) voxels.values[n] = static_cast<float>(n * 7919 % 1000);
    const std::string path = in_folder("packed.nii.gz");
    Geometry geometry;
    geometry.size = voxels.size;
    image_file(path, geometry, voxels, VoxelType::float32).commit();
    std::ifstream file(path, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    for (const std::size_t length : {whole.size() - 1, whole.size() / 2, std::size_t{12}}) {
        std::ofstream(path, std::ios::binary) << whole.substr(0, length);
        CHECK_REFUSED(read_image(path), "packed.nii.gz: ");
    }
    std::string flipped = whole;
    flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 0x55);
    std::ofstream(path, std::ios::binary) << flipped;
    CHECK_REFUSED(read_image(path), "packed.nii.gz: ");
    std::ofstream(in_folder("packed.nii"), std::ios::binary) << whole;
    CHECK_REFUSED(read_image(in_folder("packed.nii")), "is gzip-compressed but");
}

void writing() {
    Grid3<float> voxels(Size3{3, 4, 5});
    for (std::size_t n = 0; n < voxels.values.size(); ++n) voxels.values[n] = static_cast<float>(n) * 1.5f - 20;
    Geometry geometry;
    geometry.size = voxels.size;
    const double c = std::cos(0.3), s = std::sin(0.3);
    geometry.to_world = {{{2 * c, s, 0, -10}, {2 * s, -c, 0, 20}, {0, 0, 3, 5}}};  // oblique, left-handed
    for (const char* name : {"out.nii", "out.nii.gz"}) {
        const std::string path = in_folder(name);
        image_file(path, geometry, voxels, VoxelType::float32).commit();
        const Image back = read_image(path);
        CHECK(back.voxels.values == voxels.values);
        CHECK(same_geometry(back.geometry, geometry));
        std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
        if (std::string(name) == "out.nii") {  // the quaternion form says the same
            bytes.seekp(254);
            bytes.write("\0\0", 2);
            bytes.close();
            CHECK(same_geometry(read_geometry(path), geometry));
        }
    }
    const std::string path = in_folder("labels.nii.gz");
    labels_file(path, geometry, Grid3<float>(voxels.size, 40000.0f)).commit();
    CHECK_NEAR(read_labels(path).voxels.values[7], 40000, 0);
    image_file(path, geometry, Grid3<float>(voxels.size, 300.0f), VoxelType::uint8).commit();
    CHECK_NEAR(read_labels(path).voxels.values[7], 255, 0);
    { const PendingFile abandoned = image_file(in_folder("abandoned.nii"), geometry, voxels, VoxelType::int16); }
    CHECK(!std::filesystem::exists(in_folder("abandoned.nii")));
    CHECK_REFUSED(require_writable(in_folder("no/such/folder.nii")), "/no/such/ does not exist; make it");
    CHECK_REFUSED(require_writable("/dev/null"), "it is not a file");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) CHECK(entry.path().extension() != ".part");
}

}  // namespace

int main() {
    folder = std::filesystem::temp_directory_path() / ("deeds_test_nifti_" + std::to_string(std::hash<std::string>{}(__FILE__)));
    std::filesystem::create_directories(folder);
    types();
    scaling_and_offset();
    geometry_forms();
    dimensions();
    damage();
    compressed_damage();
    writing();
    std::filesystem::remove_all(folder);
    return failed_checks == 0 ? 0 : 1;
}
