// What:          the commands that use a finished registration: apply, points, field.
// Source:        this project; displacement fields as ITK reads them (intent 1007, LPS components, mm).
// Complexity:    linear in the voxels or points of the output.
// Thread safety: each command owns its data.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "commands_common.hpp"
#include "errors.hpp"
#include "field_file.hpp"
#include "geometry.hpp"
#include "mapping.hpp"
#include "pair_geometry.hpp"
#include "thread_pool.hpp"

namespace deeds {
namespace {

// ---------------------------------------------------------------------------------------------------------------------
// Finding the registration

bool agree(const AffineVox& a, const AffineVox& b) {
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 4; ++column)
            if (std::fabs(a.m[row][column] - b.m[row][column]) > 1e-3 * (column == 3 ? 1 + std::fabs(b.m[row][3]) : 1)) return false;
    return true;
}

/// Registration whose sidecar tells everything; what is given besides must not contradict it.
Registration with_sidecar(const TransformOptions& options) {
    Registration registration = read_registration(options.stem);
    const ControlField& field = *registration.field;
    if (options.grid_spacing > 0 && options.grid_spacing != field.spacing)
        throw OptionError("--grid-spacing", std::to_string(options.grid_spacing) + ", but " + displacements_sidecar_path(options.stem) +
                                                " says " + std::to_string(field.spacing));
    if (!options.registration_image.empty()) {
        const Size3 size = read_geometry(options.registration_image).size;
        if (size != field.image)
            throw FileError(options.registration_image, "has " + text_of(size) + " voxels, but " +
                                                            displacements_sidecar_path(options.stem) + " says " + text_of(field.image));
    }
    if (!options.affine.empty() && !agree(read_matrix_for(options.affine, registration.geometry), registration.affine))
        throw FileError(options.affine, "is not the affine mapping that " + displacements_path(options.stem) + " was estimated on");
    return registration;
}

/// Registration of files without a sidecar: the grid is that of an image, as stored, and voxels are mapped to voxels.
Registration without_sidecar(const TransformOptions& options, const std::string& missing, const std::optional<Geometry>& moving) {
    const std::string image = options.registration_image.empty() ? options.fixed : options.registration_image;
    if (!options.stem.empty() && options.grid_spacing == 0)
        throw FileError(missing, "is missing: without it give --grid-spacing and --fixed or --registration-image");
    if (image.empty()) throw FileError(missing, "is missing: without it give --fixed or --registration-image");
    Registration registration;
    PairGeometry& geometry = registration.geometry;
    geometry.registration = read_geometry(image);
    geometry.fixed = geometry.registration;
    geometry.moving = moving.value_or(geometry.registration);
    const bool voxel_to_voxel = moving && moving->size == geometry.registration.size;
    geometry.moving_to_world = voxel_to_voxel ? moving->to_world : geometry.registration.to_world;
    if (!options.affine.empty()) registration.affine = read_matrix(options.affine);
    if (!options.stem.empty())
        registration.field = read_displacements(displacements_path(options.stem), geometry.registration.size, options.grid_spacing);
    return registration;
}

Registration registration_of(const TransformOptions& options, const std::optional<Geometry>& moving) {
    if (options.stem.empty()) {
        const std::string sidecar = matrix_sidecar_path(options.affine);
        return file_exists(sidecar) ? read_affine_registration(options.affine) : without_sidecar(options, sidecar, moving);
    }
    const std::string sidecar = displacements_sidecar_path(options.stem), data = displacements_path(options.stem);
    if (!file_exists(data)) throw FileError(data, "cannot be read: there is no such file");
    return file_exists(sidecar) ? with_sidecar(options) : without_sidecar(options, sidecar, moving);
}

Geometry target_of(const TransformOptions& options, const Registration& registration) {
    return options.fixed.empty() ? registration.geometry.fixed : read_geometry(options.fixed);
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables of points

/// A line of a CSV file cut at its commas; quotation marks stay part of a cell.
std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (const char character : line) {
        if (character == '"') quoted = !quoted;
        if (character == ',' && !quoted)
            cells.emplace_back();
        else
            cells.back() += character;
    }
    return cells;
}

std::string line_of(const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t n = 0; n < cells.size(); ++n) line += (n == 0 ? "" : ",") + cells[n];
    return line + "\n";
}

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(" \t\r");
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

struct PointTable {
    std::vector<std::string> header;
    std::vector<std::vector<std::string>> rows;
    std::size_t columns[3] = {0, 0, 0};  ///< of x_mm, y_mm, z_mm
    std::vector<Point3> points;
};

double coordinate(const std::string& cell, const std::string& path, std::size_t line) {
    const std::string text = trimmed(cell);
    char* rest = nullptr;
    const double value = std::strtod(text.c_str(), &rest);
    if (text.empty() || *rest != '\0' || !(std::fabs(value) <= 1e6))
        throw FileError(path, "line " + std::to_string(line) + ": \"" + text.substr(0, 40) + "\" is not a coordinate in mm");
    return value;
}

PointTable read_points(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!file || !std::getline(file, line)) throw FileError(path, file.is_open() ? "is empty" : "cannot be read");
    constexpr const char* byte_order_mark = "\xef\xbb\xbf";
    if (line.rfind(byte_order_mark, 0) == 0) line.erase(0, 3);
    PointTable table;
    for (const std::string& cell : cells_of(line)) table.header.push_back(trimmed(cell));
    constexpr const char* names[3] = {"x_mm", "y_mm", "z_mm"};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto found = std::find(table.header.begin(), table.header.end(), names[axis]);
        if (found == table.header.end()) throw FileError(path, std::string("has no column ") + names[axis]);
        table.columns[axis] = static_cast<std::size_t>(found - table.header.begin());
    }
    for (std::size_t number = 2; std::getline(file, line); ++number) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (trimmed(line).empty()) continue;
        std::vector<std::string> cells = cells_of(line);
        if (cells.size() != table.header.size())
            throw FileError(path, "line " + std::to_string(number) + " has " + std::to_string(cells.size()) + " cells, the header has " +
                                      std::to_string(table.header.size()));
        const auto value = [&](std::size_t axis) { return coordinate(cells[table.columns[axis]], path, number); };
        table.points.push_back({value(0), value(1), value(2)});
        table.rows.push_back(std::move(cells));
    }
    if (file.bad()) throw FileError(path, "could not be read to its end");
    return table;
}

void set_coordinates(const PointTable& table, std::vector<std::string>& row, Point3 point) {
    const double values[3] = {point.x, point.y, point.z};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        char text[400];
        std::snprintf(text, sizeof text, "%.6f", values[axis]);
        row[table.columns[axis]] = text;
    }
}

Point3 turned_over(Point3 point) { return {-point.x, -point.y, point.z}; }  // RAS to LPS and back

// ---------------------------------------------------------------------------------------------------------------------
// Fields

struct VectorField {
    Grid3<float> x, y, z;
    explicit VectorField(Size3 size) : x(size), y(size), z(size) {}
};

/// Bytes of the field of a registration, where it has one.
std::int64_t bytes_of_field(const Registration& registration) {
    return registration.field ? 3 * registration.field->control.count() * static_cast<std::int64_t>(sizeof(float)) : 0;
}

/// carried(world) - world at every voxel, LPS components, mm.
template <class Map>
VectorField displacements_on(const Geometry& grid, int threads, const Map& carried) {
    VectorField field(grid.size);
    in_parallel(grid.size.z, threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t k = first; k < last; ++k)
            for (std::int64_t j = 0; j < grid.size.y; ++j)
                for (std::int64_t i = 0; i < grid.size.x; ++i) {
                    const Point3 from = transformed(grid.to_world, point_of(i, j, k));
                    const Point3 to = carried(from);
                    field.x.at(i, j, k) = static_cast<float>(from.x - to.x);
                    field.y.at(i, j, k) = static_cast<float>(from.y - to.y);
                    field.z.at(i, j, k) = static_cast<float>(to.z - from.z);
                }
    });
    return field;
}

/// Determinant of the Jacobian of the mapping, by differences over one voxel of the grid.
Grid3<float> jacobian_on(const Geometry& grid, int threads, const WorldMap& map) {
    Grid3<float> result(grid.size);
    const double volume = determinant(grid.to_world);
    in_parallel(grid.size.z, threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t k = first; k < last; ++k)
            for (std::int64_t j = 0; j < grid.size.y; ++j)
                for (std::int64_t i = 0; i < grid.size.x; ++i) {
                    const double voxel[3] = {static_cast<double>(i), static_cast<double>(j), static_cast<double>(k)};
                    AffineVox slope;
                    for (int axis = 0; axis < 3; ++axis) {
                        double ahead[3] = {voxel[0], voxel[1], voxel[2]}, behind[3] = {voxel[0], voxel[1], voxel[2]};
                        ahead[axis] += 0.5;
                        behind[axis] -= 0.5;
                        const Point3 to = map.moving_of(transformed(grid.to_world, {ahead[0], ahead[1], ahead[2]}));
                        const Point3 from = map.moving_of(transformed(grid.to_world, {behind[0], behind[1], behind[2]}));
                        slope.m[0][axis] = to.x - from.x;
                        slope.m[1][axis] = to.y - from.y;
                        slope.m[2][axis] = to.z - from.z;
                    }
                    result.at(i, j, k) = static_cast<float>(determinant(slope) / volume);
                }
    });
    return result;
}

}  // namespace

void run_apply(const ApplyOptions& options) {
    require_image_name(options.output);
    require_writable(options.output);
    const GeneralOptions& general = options.transform.general;
    if (options.labels && options.background && *options.background != std::round(*options.background))
        throw OptionError("--background", std::to_string(*options.background) + " is not a whole number, as labels are");
    const Image moving = options.labels ? read_labels(options.moving, read_options(general)) : read_image(options.moving, read_options(general));
    const Registration registration = registration_of(options.transform, moving.geometry);
    const Geometry target = target_of(options.transform, registration);
    require_memory(general, "carrying " + text_of(moving.geometry.size) + " to " + text_of(target.size) + " voxels",
                   (moving.geometry.size.count() + target.size.count()) * static_cast<std::int64_t>(sizeof(float)) +
                       bytes_of_field(registration));
    const std::optional<float> outside =
        options.background ? std::optional<float>(static_cast<float>(*options.background)) : std::nullopt;
    const Grid3<float> result = carried_to(target, moving, registration, options.labels ? Interpolation::nearest : Interpolation::linear,
                                           outside, general.threads);
    PendingFile file = options.labels ? labels_file(options.output, target, result)
                                      : image_file(options.output, target, result, VoxelType::float32);
    file.commit();
    say(general, options.output + ": " + text_of(target.size) + " voxels");
}

void run_points(const PointsOptions& options) {
    require_writable(options.output);
    PointTable table = read_points(options.input);
    const Registration registration = registration_of(options.transform, std::nullopt);
    const WorldMap map(registration);
    std::size_t lost = 0;
    std::string text = line_of(table.header);
    for (std::size_t n = 0; n < table.points.size(); ++n) {
        const Point3 from = options.lps ? turned_over(table.points[n]) : table.points[n];
        WorldMap::Inverse to{{}, true};
        if (options.to_fixed)
            to = map.fixed_of(from);
        else
            to.fixed_world = map.moving_of(from);
        set_coordinates(table, table.rows[n], options.lps ? turned_over(to.fixed_world) : to.fixed_world);
        if (!to.arrived) {
            ++lost;
            for (const std::size_t column : table.columns) table.rows[n][column].clear();
        }
        text += line_of(table.rows[n]);
    }
    PendingFile file(options.output);
    file.write(text.data(), text.size());
    file.commit();
    if (lost > 0) warn(options.output + ": " + std::to_string(lost) + " points have no counterpart (the field folds there), their coordinates are empty");
    say(options.transform.general, options.output + ": " + std::to_string(table.points.size()) + " points");
}

void run_field(const FieldOptions& options) {
    const GeneralOptions& general = options.transform.general;
    for (const std::string& output : {options.displacements, options.inverse, options.jacobian})
        if (!output.empty()) {
            require_image_name(output);
            require_writable(output);
        }
    const std::optional<Geometry> moving = options.moving.empty() ? std::nullopt : std::optional<Geometry>(read_geometry(options.moving));
    const Registration registration = registration_of(options.transform, moving);
    const Geometry fixed_grid = target_of(options.transform, registration);
    const Geometry moving_grid = moving.value_or(registration.geometry.moving);
    // Each is written before the next is made.
    constexpr std::int64_t bytes_of_number = sizeof(float), bytes_of_vector = 3 * bytes_of_number;
    const std::int64_t on_fixed = !options.displacements.empty() ? bytes_of_vector : !options.jacobian.empty() ? bytes_of_number : 0;
    const std::int64_t most_on_fixed = on_fixed * fixed_grid.size.count();
    const std::int64_t most_on_moving = options.inverse.empty() ? 0 : bytes_of_vector * moving_grid.size.count();
    require_memory(general, "a field on " + text_of(most_on_fixed < most_on_moving ? moving_grid.size : fixed_grid.size) + " voxels",
                   std::max(most_on_fixed, most_on_moving) + bytes_of_field(registration));
    const WorldMap map(registration);
    std::vector<PendingFile> files;
    if (!options.displacements.empty()) {
        const VectorField field = displacements_on(fixed_grid, general.threads, [&](Point3 from) { return map.moving_of(from); });
        files.push_back(vector_file(options.displacements, fixed_grid, field.x, field.y, field.z));
    }
    if (!options.inverse.empty()) {
        std::atomic<std::int64_t> lost{0};
        const VectorField field = displacements_on(moving_grid, general.threads, [&](Point3 from) {
            const WorldMap::Inverse to = map.fixed_of(from);
            if (!to.arrived) ++lost;
            return to.fixed_world;
        });
        files.push_back(vector_file(options.inverse, moving_grid, field.x, field.y, field.z));
        if (lost > 0) warn(options.inverse + ": the field folds, the inverse is approximate at " + std::to_string(lost.load()) + " voxels");
    }
    if (!options.jacobian.empty())
        files.push_back(image_file(options.jacobian, fixed_grid, jacobian_on(fixed_grid, general.threads, map), VoxelType::float32));
    commit_all(files);
    for (const PendingFile& file : files) say(general, file.path() + ": written");
}

}  // namespace deeds
