// What:          whole registrations of images whose mapping is known.
// Source:        this project.
// Complexity:    some seconds.
// Thread safety: one test at a time.
#include <algorithm>
#include <cmath>
#include <functional>

#include "check.hpp"
#include "phantom.hpp"
#include "registration.hpp"

namespace {

using namespace deeds;

constexpr Size3 kSize{56, 52, 48};
constexpr double kBorder = 10;

RegistrationSettings deformable_settings(int threads) {
    RegistrationSettings settings;
    settings.grid_spacing = {5, 4, 3};
    settings.search_radius = {3, 3, 2};
    settings.quantization = {2, 2, 1};
    settings.alpha = 1.6;
    settings.threads = threads;
    return settings;
}

LinearSettings linear_settings(int threads) {
    LinearSettings settings;
    settings.grid_spacing = {5, 4};
    settings.search_radius = {4, 3};
    settings.quantization = {2, 1};
    settings.background = -1e6f;
    settings.threads = threads;
    return settings;
}

bool same(const ControlField& a, const ControlField& b) { return a.di == b.di && a.dj == b.dj && a.dk == b.dk; }

using Map = std::function<std::array<double, 3>(double, double, double)>;

/// Mean distance in voxels of an estimated map from the true one, away from the border.
double mean_error(const Map& estimated, const Map& truth) {
    double sum = 0;
    int count = 0;
    for (double z = kBorder; z < static_cast<double>(kSize.z) - kBorder; z += 3) {
        for (double y = kBorder; y < static_cast<double>(kSize.y) - kBorder; y += 3) {
            for (double x = kBorder; x < static_cast<double>(kSize.x) - kBorder; x += 3, ++count) {
                const auto p = estimated(x, y, z), q = truth(x, y, z);
                sum += std::sqrt((p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1]) +
                                 (p[2] - q[2]) * (p[2] - q[2]));
            }
        }
    }
    return sum / count;
}

Map map_of(const AffineVox& affine) {
    return [affine](double x, double y, double z) {
        std::array<double, 3> out{};
        for (std::size_t r = 0; r < 3; ++r) {
            const auto& m = affine.m[r];
            out[r] = m[0] * x + m[1] * y + m[2] * z + m[3];
        }
        return out;
    };
}

Map map_of(const ControlField& field) {
    return [&field](double x, double y, double z) {
        const Displacement u = displacement_at(field, x, y, z);
        return std::array<double, 3>{x + u.i, y + u.j, z + u.k};
    };
}

/// fixed(p) = phantom(truth(p)), moving(q) = phantom(q).
struct Pair {
    Grid3<float> fixed, moving;
};
Pair pair_of(const Map& truth, unsigned seed) {
    const Phantom phantom(seed);
    return {phantom.image(kSize, truth), phantom.image(kSize)};
}

void identical_images_stay_in_place() {
    const Grid3<float> image = Phantom(21).image(kSize);
    const DeformableResult result = register_deformable(image, image, AffineVox{}, deformable_settings(1));
    const auto zero = [](float value) { return value == 0; };
    for (const ControlField* field : {&result.forward, &result.backward}) {
        for (const auto* component : {&field->di, &field->dj, &field->dk}) {
            CHECK(std::all_of(component->begin(), component->end(), zero));
        }
    }
    CHECK(result.folding_share == 0);
    const Map identity = map_of(AffineVox{});
    CHECK_NEAR(mean_error(map_of(register_linear(image, image, linear_settings(1))), identity), 0, 1e-9);
}

void a_translation_is_recovered() {
    const Map truth = [](double x, double y, double z) { return std::array<double, 3>{x + 4, y - 3, z + 2}; };
    const Pair pair = pair_of(truth, 22);
    const AffineVox affine = register_linear(pair.fixed, pair.moving, linear_settings(1));
    LinearSettings rigid = linear_settings(1);
    rigid.rigid = true;
    rigid.voxel_mm = {1.0, 1.5, 2.0};
    const AffineVox turned = register_linear(pair.fixed, pair.moving, rigid);
    std::printf("translation: mean error %.3f voxels after an affine step, %.3f after a rigid one\n",
                mean_error(map_of(affine), truth), mean_error(map_of(turned), truth));
    CHECK_NEAR(mean_error(map_of(affine), truth), 0, 0.05);
    CHECK_NEAR(mean_error(map_of(turned), truth), 0, 0.05);
    const DeformableResult result = register_deformable(pair.fixed, pair.moving, AffineVox{}, deformable_settings(1));
    CHECK_NEAR(mean_error(map_of(result.forward), truth), 0, 0.2);
}

void a_scaling_is_recovered() {
    const Map truth = [](double x, double y, double z) {
        return std::array<double, 3>{27.5 + 1.08 * (x - 27.5), 25.5 + 0.94 * (y - 25.5), 23.5 + 1.05 * (z - 23.5)};
    };
    const Pair pair = pair_of(truth, 23);
    const AffineVox affine = register_linear(pair.fixed, pair.moving, linear_settings(1));
    const double linear_error = mean_error(map_of(affine), truth);
    std::printf("scaling: mean error %.3f voxels after linear\n", linear_error);
    CHECK(linear_error < 0.15);
    const DeformableResult result = register_deformable(pair.fixed, pair.moving, AffineVox{}, deformable_settings(1));
    CHECK(mean_error(map_of(result.forward), truth) < 0.4);
}

void a_bend_is_recovered_both_ways() {
    const Map truth = [](double x, double y, double z) {
        return std::array<double, 3>{x + 2.5 * std::sin(y / 9), y + 2 * std::sin(z / 8), z + 2 * std::sin(x / 10)};
    };
    const Pair pair = pair_of(truth, 24);
    const DeformableResult result = register_deformable(pair.fixed, pair.moving, AffineVox{}, deformable_settings(1));
    const Map forward = map_of(result.forward), backward = map_of(result.backward);
    const double error = mean_error(forward, truth);
    const Map round_trip = [&](double x, double y, double z) {
        const auto p = forward(x, y, z);
        return backward(p[0], p[1], p[2]);
    };
    const double inconsistency = mean_error(round_trip, map_of(AffineVox{}));
    std::printf("bend: mean error %.3f, forward and backward differ by %.3f voxels\n", error, inconsistency);
    CHECK(error < 0.45);
    CHECK(inconsistency < 0.05);
    CHECK(result.folding_share == 0);
}

void results_do_not_depend_on_threads_or_instructions() {
    const Map truth = [](double x, double y, double z) {
        return std::array<double, 3>{x + 2 * std::sin(y / 7), y - 2, z + 1.5 * std::cos(x / 8)};
    };
    const Pair pair = pair_of(truth, 25);
    const auto both = [&](int threads) {
        return register_deformable(pair.fixed, pair.moving,
                                   register_linear(pair.fixed, pair.moving, linear_settings(threads)),
                                   deformable_settings(threads));
    };
    select_instruction_set(InstructionSet::portable);
    const DeformableResult first = both(1);
    for (const InstructionSet set : supported_sets()) {
        select_instruction_set(set);
        for (const int threads : {1, 2}) {
            const DeformableResult result = both(threads);
            CHECK(same(result.forward, first.forward));
            CHECK(same(result.backward, first.backward));
        }
    }
}

void impossible_work_is_refused() {
    const Grid3<float> image = Phantom(26).image(kSize);
    const auto refuse = [&](const std::function<void(RegistrationSettings&)>& change, const char* part) {
        RegistrationSettings settings = deformable_settings(1);
        change(settings);
        CHECK_REFUSED(register_deformable(image, image, AffineVox{}, settings), part);
    };
    refuse([](RegistrationSettings& s) { s.quantization.pop_back(); }, "3, 3 and 2");
    refuse([](RegistrationSettings& s) { s.grid_spacing[1] = 0; }, "grid-spacing: 0");
    refuse([](RegistrationSettings& s) { s.grid_spacing[0] = 16; s.search_radius[0] = 17; }, "search-radius: 17");
    refuse([](RegistrationSettings& s) { s.alpha = 0; }, "alpha");
    refuse([](RegistrationSettings& s) { s.alpha = NAN; }, "alpha");
    refuse([](RegistrationSettings& s) { s.grid_spacing = {16, 16, 17}; }, "grid-spacing: 17");
    LinearSettings linear = linear_settings(1);
    linear.grid_spacing = {9, 4};
    CHECK_REFUSED(register_linear(image, image, linear), "grid-spacing: 9 leaves 6x5x5");
    linear = linear_settings(1);
    linear.background = 1e6f;
    CHECK_REFUSED(register_linear(image, image, linear), "valid control points");
    Grid3<float> broken = image;
    broken.values[7] = NAN;
    CHECK_REFUSED(register_linear(image, broken, linear_settings(1)), "moving image: 1 voxels");
    CHECK_REFUSED(register_linear(Grid3<float>(kSize, 3.0f), image, linear_settings(1)), "fixed image is constant");
    CHECK_REFUSED(register_linear(image, Grid3<float>({56, 52, 47}), linear_settings(1)), "56x52x47");
}

void memory_need_counts_in_64_bits() {
    const std::int64_t need = memory_need_deformable({2048, 2048, 2048}, deformable_settings(1));
    CHECK(need > std::int64_t{400} * (1 << 30));
}

}  // namespace

int main() {
    identical_images_stay_in_place();
    a_translation_is_recovered();
    a_scaling_is_recovered();
    a_bend_is_recovered_both_ways();
    results_do_not_depend_on_threads_or_instructions();
    impossible_work_is_refused();
    memory_need_counts_in_64_bits();
    std::printf(failed_checks == 0 ? "registration: passed\n" : "registration: %d checks failed\n", failed_checks);
    return failed_checks == 0 ? 0 : 1;
}
