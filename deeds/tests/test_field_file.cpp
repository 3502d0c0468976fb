// Files of a registration: round trips, the published layout byte by byte, refused damage.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "check.hpp"
#include "field_file.hpp"

using namespace deeds;

namespace {

std::filesystem::path folder;

std::string in_folder(const std::string& name) { return (folder / name).string(); }

void save(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

std::string loaded(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

PairGeometry pair() {
    PairGeometry geometry;
    geometry.registration = {{13, 10, 9}, {{{2, 0, 0, -11}, {0, 2, 0.1, 7}, {0, -0.1, 2, 3}}}};
    geometry.fixed = {{26, 20, 5}, {{{1, 0, 0, -11}, {0, 1, 0, 7}, {0, 0, 4, 3}}}};
    geometry.moving = geometry.fixed;
    geometry.moving_to_world = geometry.registration.to_world;
    geometry.moving_to_world.m[0][3] += 5;
    return geometry;
}

const AffineVox some_affine = {{{1.1, 0.02, 0, 3}, {-0.03, 0.9, 0.01, -4.25}, {0, 0.05, 1, 0.123456789}}};

Registration some_registration() {
    Registration registration;
    registration.geometry = pair();
    registration.affine = some_affine;
    ControlField field;
    field.spacing = 3;
    field.image = registration.geometry.registration.size;
    field.control = {4, 3, 3};
    for (int n = 0; n < 36; ++n) {
        field.di.push_back(static_cast<float>(n));
        field.dj.push_back(static_cast<float>(100 + n));
        field.dk.push_back(static_cast<float>(-n) / 8);
    }
    registration.field = field;
    return registration;
}

void matrices() {
    auto files = matrix_files(in_folder("a"), some_affine, pair());
    commit_all(files);
    const AffineVox back = read_matrix(in_folder("a_matrix.txt"));
    const Registration whole = read_affine_registration(in_folder("a_matrix.txt"));
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 4; ++column) {
            CHECK_NEAR(back.m[row][column], some_affine.m[row][column], 1e-8);
            CHECK_NEAR(whole.geometry.moving_to_world.m[row][column], pair().moving_to_world.m[row][column], 0);
        }
    CHECK(same_geometry(whole.geometry.registration, pair().registration));

    save(in_folder("published.txt"), "1  0  0  -1e-07\n0  2  0  0\n0  0  1  0\n5  6  7  1\n");  // translation in the last line
    const AffineVox published = read_matrix(in_folder("published.txt"));
    CHECK_NEAR(published.m[0][3], 5, 0);
    CHECK_NEAR(published.m[2][3], 7, 0);
    CHECK_NEAR(published.m[1][1], 2, 0);

    const auto refused = [](const std::string& text, const std::string& part) {
        save(in_folder("bad.txt"), text);
        CHECK_REFUSED(read_matrix(in_folder("bad.txt")), "bad.txt: " + part);
    };
    refused("", "holds 0 numbers");
    refused("1 0 0 0 0 1 0 0 0 0 1 0 0 0 0", "holds 15 numbers");
    refused("1 0 0 0 0 1 0 0 0 0 1 0 nan 0 0 1", "\"nan\" is not a number");
    refused("1 0 0 0 0 1 0 0 0 0 1 0 1e400 0 0 1", "\"1e400\" is not a number");
    refused("1 0 0 x 0 1 0 0 0 0 1 0 0 0 0 1", "\"x\" is not a number");
    refused("1 0 0 5 0 1 0 0 0 0 1 0 0 0 0 1", "last column");
    refused("1 0 0 0 0 1 0 0 0 0 -1 0 0 0 0 1", "determinant is -1");
    refused("1 0 0 0 0 1 0 0 0 0 0 0 0 0 0 1", "determinant is 0");
    CHECK_REFUSED(read_matrix(in_folder("absent.txt")), "absent.txt: cannot be read");
    CHECK_REFUSED(read_affine_registration(in_folder("published.txt")), "published.json: is missing");
}

/// A matrix estimated on one grid means the same mapping of world points on another.
void matrix_on_another_grid() {
    PairGeometry other = pair();
    other.registration = {{26, 20, 18}, {{{1, 0, 0, -12}, {0, 1, 0, 7}, {0, 0, 1, 2}}}};
    other.moving_to_world = other.registration.to_world;
    const AffineVox converted = read_matrix_for(in_folder("a_matrix.txt"), other);
    const Point3 world{3, 11, 8};
    const Point3 first = transformed(pair().moving_to_world, transformed(some_affine, transformed(inverse(pair().registration.to_world), world)));
    const Point3 second = transformed(other.moving_to_world, transformed(converted, transformed(inverse(other.registration.to_world), world)));
    CHECK_NEAR(second.x, first.x, 1e-6);
    CHECK_NEAR(second.y, first.y, 1e-6);
    CHECK_NEAR(second.z, first.z, 1e-6);
    CHECK_NEAR(read_matrix_for(in_folder("a_matrix.txt"), pair()).m[0][0], 1.1, 0);
}

void displacements() {
    const Registration registration = some_registration();
    auto files = displacement_files(in_folder("b"), registration);
    commit_all(files);
    const std::string bytes = loaded(in_folder("b_displacements.dat"));
    CHECK(bytes.size() == 3 * 36 * 4);
    float first[3];
    for (std::size_t block = 0; block < 3; ++block) std::memcpy(&first[block], bytes.data() + block * 36 * 4 + 4, 4);
    CHECK_NEAR(first[0], 101, 0);  // along j
    CHECK_NEAR(first[1], 1, 0);    // along i
    CHECK_NEAR(first[2], -0.125, 0);

    const Registration back = read_registration(in_folder("b"));
    CHECK(back.field->di == registration.field->di);
    CHECK(back.field->dj == registration.field->dj);
    CHECK(back.field->dk == registration.field->dk);
    CHECK(back.field->control == registration.field->control);
    CHECK(back.field->spacing == 3);
    CHECK_NEAR(back.affine.m[2][3], 0.123456789, 0);
    CHECK(same_geometry(back.geometry.fixed, registration.geometry.fixed));

    const std::string json = loaded(in_folder("b_displacements.json"));
    const auto changed = [&](const std::string& from, const std::string& to, const std::string& part) {
        std::string text = json;
        const auto at = text.find(from);
        CHECK(at != std::string::npos);
        text.replace(at, from.size(), to);
        save(in_folder("b_displacements.json"), text);
        CHECK_REFUSED(read_registration(in_folder("b")), part);
        save(in_folder("b_displacements.json"), json);
    };
    changed("\"grid_spacing\": 3", "\"grid_spacing\": 4", "13x10x9 voxels at grid spacing 4 make 3x2x2");
    changed("\"grid_spacing\": 3", "\"grid_spacing\": 0", "\"grid_spacing\" is 0");
    changed("\"grid_spacing\": 3", "\"grid_spacing\": \"3\"", "\"grid_spacing\" is not a number");
    changed("\"control_size\": [4", "\"control_size\": [5", "\"control_size\" is 5x3x3");
    changed("deeds displacements", "something", "\"format\" is \"something\"");
    changed("\"version\": 1", "\"version\": 2", "\"version\" is 2");
    changed("}\n", "", "JSON error");
    changed("\"affine\": [[1.1", "\"affine\": [[1e999", "\"affine\" is not a number");
    changed("\"moving_affine\"", "\"moved_affine\"", "has no \"moving_affine\"");

    save(in_folder("b_displacements.dat"), bytes.substr(4));
    CHECK_REFUSED(read_registration(in_folder("b")), "has 428 bytes, 432 are expected");
    std::string damaged = bytes;
    const float not_a_number = NAN;
    std::memcpy(damaged.data() + 40, &not_a_number, 4);
    save(in_folder("b_displacements.dat"), damaged);
    CHECK_REFUSED(read_registration(in_folder("b")), "1 displacements are not finite");
}

}  // namespace

int main() {
    folder = std::filesystem::temp_directory_path() / ("deeds_test_field_" + std::to_string(std::hash<std::string>{}(__FILE__)));
    std::filesystem::create_directories(folder);
    matrices();
    matrix_on_another_grid();
    displacements();
    std::filesystem::remove_all(folder);
    return failed_checks == 0 ? 0 : 1;
}
