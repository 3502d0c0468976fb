// What:          the part of an image in which a body lies, on images where it is known.
// Source:        the definitions in region.hpp.
// Complexity:    milliseconds.
// Thread safety: one test at a time.
#include <random>

#include "check.hpp"
#include "region.hpp"

namespace {

using namespace deeds;

constexpr Size3 kSize{64, 48, 40};

/// Noisy air at -1000, and a body of intensity `tissue` with `lung` inside: both boxes.
Grid3<float> body_in_air(float tissue, float lung) {
    std::mt19937 random(1);
    std::normal_distribution<float> noise(0.0f, 15.0f);
    Grid3<float> image(kSize);
    for (std::int64_t z = 0; z < kSize.z; ++z) {
        for (std::int64_t y = 0; y < kSize.y; ++y) {
            for (std::int64_t x = 0; x < kSize.x; ++x) {
                const bool body = x >= 20 && x < 44 && y >= 16 && y < 32;
                const bool inside = x >= 26 && x < 38 && y >= 20 && y < 28;
                image.at(x, y, z) = (inside ? lung : body ? tissue : -1000.0f) + noise(random);
            }
        }
    }
    return image;
}

void a_body_in_air_is_found_with_a_margin_and_without_gaps() {
    const Region region = body_region(body_in_air(40.0f, -1000.0f));
    // Blocks of four voxels meet the box exactly, and one more block stands on every side of it.
    for (std::int64_t z = 0; z < kSize.z; ++z) {
        for (std::int64_t y = 0; y < kSize.y; ++y) {
            const Span row = region.row(y, z);
            if (y < 12 || y >= 36) {
                CHECK(row.empty());
            } else {
                CHECK(row.first == 16 && row.end == 48);
            }
        }
    }
    CHECK(region.count() == 24 * 32 * kSize.z);
}

void without_dark_surroundings_every_voxel_counts() {
    std::mt19937 random(2);
    std::normal_distribution<float> tissue(40.0f, 60.0f);
    Grid3<float> image(kSize);
    for (float& value : image.values) value = tissue(random);
    CHECK(body_region(image).count() == kSize.count());
}

void a_bright_border_is_no_background() {
    Grid3<float> inverted = body_in_air(40.0f, 40.0f);
    for (float& value : inverted.values) value = -value;
    CHECK(body_region(inverted).count() == kSize.count());
}

void a_region_grows_and_thins_out() {
    Region one({20, 20, 20}, {});
    one.row(10, 9) = {5, 7};
    CHECK(one.count() == 2);
    CHECK(grown(one, 3).count() == 7 * 7 * 8);
    CHECK(grown(one, 30).count() == 20 * 20 * 20);
    // Voxels 5 and 6 of row (10, 9) lie in patch 1 of four voxels, row 2, slice 2; of seven voxels in patch 0, row 1, slice 1.
    const Region four = control_region(one, 4), seven = control_region(one, 7);
    CHECK(four.count() == 1 && four.row(2, 2).first == 1 && four.row(2, 2).end == 2);
    CHECK(seven.count() == 1 && seven.row(1, 1).first == 0 && seven.row(1, 1).end == 1);
    Region other({20, 20, 20}, {});
    other.row(10, 9) = {12, 13};
    CHECK(united(one, other).row(10, 9).first == 5 && united(one, other).row(10, 9).end == 13);
}

}  // namespace

int main() {
    a_body_in_air_is_found_with_a_margin_and_without_gaps();
    without_dark_surroundings_every_voxel_counts();
    a_bright_border_is_no_background();
    a_region_grows_and_thins_out();
    std::printf(failed_checks == 0 ? "region: passed\n" : "region: %d checks failed\n", failed_checks);
    return failed_checks == 0 ? 0 : 1;
}
