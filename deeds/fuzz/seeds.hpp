// What:          small valid inputs from which the fuzz targets start.
// Source:        this project.
// Complexity:    constant.
// Thread safety: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace seed_details {

template <class T>
void put(std::string& bytes, std::size_t offset, T value, bool swapped) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    if (swapped) std::reverse(raw, raw + sizeof(T));
    std::memcpy(bytes.data() + offset, raw, sizeof(T));
}

/// One leading byte of options, a header of 3x4x5 voxels, zeros for the voxels.
inline std::string image(int datatype, int bits, bool swapped, bool quaternion, int components = 1) {
    std::string bytes(static_cast<std::size_t>(1 + 352 + 60 * components * bits / 8), '\0');
    bytes[0] = 2;
    put(bytes, 1, std::int32_t{348}, swapped);
    const int dimensions[8] = {4, 3, 4, 5, 1, 1, 1, 1};
    for (std::size_t n = 0; n < 8; ++n) put(bytes, 41 + 2 * n, static_cast<std::int16_t>(dimensions[n]), swapped);
    put(bytes, 71, static_cast<std::int16_t>(datatype), swapped);
    put(bytes, 73, static_cast<std::int16_t>(bits), swapped);
    for (std::size_t n = 0; n < 8; ++n) put(bytes, 77 + 4 * n, 1.5f, swapped);
    put(bytes, 109, 352.0f, swapped);
    put(bytes, 113, 2.0f, swapped);
    put(bytes, quaternion ? std::size_t{253} : std::size_t{255}, std::int16_t{1}, swapped);
    put(bytes, 257, 0.5f, swapped);
    for (std::size_t row = 0; row < 3; ++row) put(bytes, 281 + 20 * row, 1.5f, swapped);
    std::memcpy(bytes.data() + 345, "n+1", 4);
    return bytes;
}

/// An image of three components a voxel, small shifts that differ from place to place.
template <class T>
std::string field(int datatype, bool swapped) {
    constexpr std::size_t components = 3, numbers = 60 * components;
    std::string bytes = image(datatype, 8 * static_cast<int>(sizeof(T)), swapped, false, static_cast<int>(components));
    put(bytes, 41, std::int16_t{5}, swapped);
    put(bytes, 41 + 2 * 5, static_cast<std::int16_t>(components), swapped);
    put(bytes, 69, std::int16_t{1007}, swapped);
    put(bytes, 113, 1.0f, swapped);
    for (std::size_t n = 0; n < numbers; ++n)
        put(bytes, 353 + n * sizeof(T), static_cast<T>(static_cast<int>(n % 7) - 3) / 2, swapped);
    return bytes;
}

}  // namespace seed_details

inline std::vector<std::string> vectors_seeds() {
    std::vector<std::string> seeds;
    for (const bool swapped : {false, true}) {
        seeds.push_back(seed_details::field<float>(16, swapped));
        seeds.push_back(seed_details::field<double>(64, swapped));
    }
    return seeds;
}

inline std::vector<std::string> nifti_seeds() {
    std::vector<std::string> seeds;
    const int types[][2] = {{2, 8}, {4, 16}, {8, 32}, {16, 32}, {64, 64}, {256, 8}, {512, 16}, {768, 32}, {1024, 64}, {1280, 64}};
    for (const auto& type : types)
        for (const bool swapped : {false, true}) seeds.push_back(seed_details::image(type[0], type[1], swapped, type[0] % 3 == 0));
    return seeds;
}

inline std::vector<std::string> command_line_seeds() {
    std::vector<std::string> seeds = {
        "linear -F f -M m -O o -l 3 -G 5x4x3 -L 3x2x2 -Q 2x2x2 -R 1 --rigid --threads 2 --quiet",
        "register --fixed f --moving m --output o -A a -a 1.6 -G 5x4x3 -L 5x4x3 -Q 2x2x1 -S s --volume 1 --nan-to -1e3",
        "register -F f -M m -O o --linear --linear-grid-spacing 4 --linear-search-radius 3 --linear-quantization 2 --spacing 2.5 --align-centres",
        "register --fixed=f --moving=m --output=o --as-stored --background=0 --intensity-offset=1024 --memory-limit=100",
        "apply -M m -O o -D d -F f -A a --labels --background 0 -G 3 --registration-image r",
        "points -O o --input i --output p --direction moving-to-fixed --axes lps",
        "field -O o -D d --inverse i --jacobian j -M m --memory-limit 100",
        "descend -O o -F f -M m -D d --smooth 3x0 --window 10x6 --steps 3x4 --rough-window 8 --wall 0.4 --evidence e",
        "invert --field f -D d --tolerance 0.01 --steps 50 --nan-to 0 --memory-limit 100 --threads 2",
        "--help", "--version", "linear --help"};
    for (std::string& seed : seeds) std::replace(seed.begin(), seed.end(), ' ', '\0');
    return seeds;
}
