// What:          test images with structure at several scales, and the instruction sets at hand.
// Source:        this project.
// Complexity:    voxels x bumps.
// Thread safety: pure.
#pragma once

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "descriptor.hpp"
#include "kernels.hpp"
#include "volume3.hpp"

/// A sum of random waves, defined at every point, so that moved images are sampled without interpolation.
class Phantom {
  public:
    explicit Phantom(unsigned seed) {
        constexpr int kWaves = 60;
        std::mt19937 random(seed);
        std::normal_distribution<double> frequency(0.0, 0.28);
        std::uniform_real_distribution<double> phase(0.0, 6.283185307);
        for (int w = 0; w < kWaves; ++w) {
            waves_.push_back({frequency(random), frequency(random), frequency(random), phase(random)});
        }
    }

    float at(double x, double y, double z) const {
        double sum = 0;
        for (const auto& w : waves_) sum += std::sin(w[0] * x + w[1] * y + w[2] * z + w[3]);
        return static_cast<float>(100 * sum);
    }

    /// map(x, y, z) -> {x, y, z}: where each voxel of the grid looks in the phantom.
    template <class Map>
    deeds::Grid3<float> image(deeds::Size3 size, const Map& map) const {
        deeds::Grid3<float> out(size);
        for (std::int64_t z = 0; z < size.z; ++z) {
            for (std::int64_t y = 0; y < size.y; ++y) {
                for (std::int64_t x = 0; x < size.x; ++x) {
                    const std::array<double, 3> p =
                        map(static_cast<double>(x), static_cast<double>(y), static_cast<double>(z));
                    out.at(x, y, z) = at(p[0], p[1], p[2]);
                }
            }
        }
        return out;
    }

    deeds::Grid3<float> image(deeds::Size3 size) const {
        return image(size, [](double x, double y, double z) { return std::array<double, 3>{x, y, z}; });
    }

  private:
    std::vector<std::array<double, 4>> waves_;
};

/// Words of every voxel of a grid, in its order.
inline deeds::Words whole_words(const deeds::Grid3<std::uint64_t>& grid) {
    deeds::Words words;
    words.resize(deeds::whole_region(grid.size));
    words.values = grid.values;
    return words;
}

inline std::vector<deeds::InstructionSet> supported_sets() {
    std::vector<deeds::InstructionSet> sets;
    for (const auto set :
         {deeds::InstructionSet::portable, deeds::InstructionSet::avx2, deeds::InstructionSet::avx512}) {
        if (deeds::is_supported(set)) sets.push_back(set);
    }
    return sets;
}
