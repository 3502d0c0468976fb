// What:          the files of a finished registration: matrix text, raw displacements, sidecars.
// Source:        layouts of text and raw file as published with the method; sidecars are this project's.
// Complexity:    linear in the control points.
// Thread safety: no shared state.
#include "field_file.hpp"

#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

namespace deeds {
namespace {

constexpr int sidecar_version = 1;
constexpr double largest_number = 1e9;  // of any matrix entry: keeps all later arithmetic finite
constexpr const char* displacements_format = "deeds displacements";
constexpr const char* matrix_format = "deeds matrix";

std::string without_ending(const std::string& text, const std::string& ending) {
    const bool there = text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
    return there ? text.substr(0, text.size() - ending.size()) : text;
}

std::string content_of(const std::string& path, std::int64_t largest) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) throw FileError(path, "cannot be read: " + std::string(std::strerror(errno)));
    if (!S_ISREG(status.st_mode)) throw FileError(path, "is not a file");
    if (status.st_size > largest)
        throw FileError(path, "has " + std::to_string(status.st_size) + " bytes, at most " + std::to_string(largest) + " are expected");
    std::ifstream file(path, std::ios::binary);
    if (!file) throw FileError(path, "cannot be read: " + std::string(std::strerror(errno)));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON, as much of it as the sidecars use: objects, arrays, numbers, plain strings

struct JsonValue {
    enum class Kind { number, text, list, object } kind = Kind::number;
    double number = 0;
    std::string text;
    std::vector<JsonValue> list;
    std::map<std::string, JsonValue> object;
};

class JsonReader {
  public:
    JsonReader(const std::string& path, const std::string& content) : path_(path), content_(content) {}

    JsonValue whole() {
        JsonValue value = any(0);
        skip_space();
        if (next_ != content_.size()) fail();
        return value;
    }

  private:
    [[noreturn]] void fail() const { throw FileError(path_, "is not a sidecar of deeds (JSON error at byte " + std::to_string(next_) + ")"); }

    void skip_space() {
        while (next_ < content_.size() && std::isspace(static_cast<unsigned char>(content_[next_]))) ++next_;
    }
    char peek() {
        skip_space();
        if (next_ >= content_.size()) fail();
        return content_[next_];
    }
    void expect(char wanted) {
        if (peek() != wanted) fail();
        ++next_;
    }

    JsonValue any(int depth) {
        if (depth > 8) fail();
        JsonValue value;
        switch (peek()) {
            case '{':
                value.kind = JsonValue::Kind::object;
                members('}', [&] {
                    const std::string key = quoted();
                    expect(':');
                    value.object[key] = any(depth + 1);
                });
                break;
            case '[':
                value.kind = JsonValue::Kind::list;
                members(']', [&] { value.list.push_back(any(depth + 1)); });
                break;
            case '"':
                value.kind = JsonValue::Kind::text;
                value.text = quoted();
                break;
            default: value.number = number();
        }
        return value;
    }

    template <class Member>
    void members(char closing, const Member& member) {
        ++next_;
        if (peek() == closing) {
            ++next_;
            return;
        }
        member();
        while (peek() == ',') {
            ++next_;
            member();
        }
        expect(closing);
    }

    std::string quoted() {
        expect('"');
        const std::size_t start = next_;
        while (next_ < content_.size() && content_[next_] != '"' && content_[next_] != '\\') ++next_;
        if (next_ >= content_.size() || content_[next_] != '"') fail();
        return content_.substr(start, next_++ - start);
    }

    double number() {
        const std::size_t end = content_.find_first_not_of("+-.0123456789eE", next_);
        const std::string text = content_.substr(next_, end - next_);
        char* rest = nullptr;
        const double value = std::strtod(text.c_str(), &rest);
        if (text.empty() || *rest != '\0') fail();
        next_ += text.size();
        return value;
    }

    const std::string& path_;
    const std::string& content_;
    std::size_t next_ = 0;
};

std::string exact(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}

std::string json_of(Size3 size) {
    return "[" + std::to_string(size.x) + ", " + std::to_string(size.y) + ", " + std::to_string(size.z) + "]";
}

std::string json_of(const AffineVox& affine) {
    std::string text = "[";
    for (const auto& row : affine.m) text += "[" + exact(row[0]) + ", " + exact(row[1]) + ", " + exact(row[2]) + ", " + exact(row[3]) + "], ";
    return text + "[0, 0, 0, 1]]";
}

std::string json_of(const Geometry& geometry) {
    return "{\"size\": " + json_of(geometry.size) + ", \"affine\": " + json_of(geometry.to_world) + "}";
}

std::string opening(const char* format) {
    return std::string("{\n  \"format\": \"") + format + "\",\n  \"version\": " + std::to_string(sidecar_version) + ",\n";
}

std::string closing(const PairGeometry& geometry, const AffineVox& affine) {
    return "  \"registration\": " + json_of(geometry.registration) + ",\n  \"moving_affine\": " + json_of(geometry.moving_to_world) +
           ",\n  \"affine\": " + json_of(affine) + ",\n  \"fixed_image\": " + json_of(geometry.fixed) +
           ",\n  \"moving_image\": " + json_of(geometry.moving) + "\n}\n";
}

/// Typed access to the members of a sidecar; every problem names file and key.
class Sidecar {
  public:
    Sidecar(std::string path, const std::string& format) : path_(std::move(path)) {
        const std::string content = content_of(path_, 1 << 20);
        root_ = JsonReader(path_, content).whole();
        const JsonValue& found = member(root_, "format");
        if (found.kind != JsonValue::Kind::text || found.text != format)
            throw FileError(path_, "\"format\" is \"" + found.text + "\", \"" + format + "\" is expected");
        const double version = number(member(root_, "version"), "version");
        if (version != sidecar_version)
            throw FileError(path_, "\"version\" is " + exact(version) + ", this program reads " + std::to_string(sidecar_version));
    }

    PairGeometry pair_geometry() const {
        PairGeometry geometry;
        geometry.registration = geometry_of("registration");
        geometry.fixed = geometry_of("fixed_image");
        geometry.moving = geometry_of("moving_image");
        geometry.moving_to_world = affine_of(member(root_, "moving_affine"), "moving_affine");
        return geometry;
    }
    AffineVox affine(const std::string& key) const { return affine_of(member(root_, key), key); }
    Size3 size(const std::string& key) const { return size_of(member(root_, key), key, 1); }
    int whole_number(const std::string& key) const { return static_cast<int>(whole(member(root_, key), key, 1)); }
    const std::string& path() const { return path_; }

  private:
    const JsonValue& member(const JsonValue& object, const std::string& key) const {
        const auto found = object.object.find(key);
        if (found == object.object.end()) throw FileError(path_, "has no \"" + key + "\"");
        return found->second;
    }
    double number(const JsonValue& value, const std::string& key) const {
        if (value.kind != JsonValue::Kind::number || !(std::fabs(value.number) <= largest_number))
            throw FileError(path_, "\"" + key + "\" is not a number of at most 1e9");
        return value.number;
    }
    std::int64_t whole(const JsonValue& value, const std::string& key, int least) const {
        const double found = number(value, key);
        if (found != std::floor(found) || found < least || found > 32767)
            throw FileError(path_, "\"" + key + "\" is " + exact(found) + ", a whole number from " + std::to_string(least) + " to 32767 is expected");
        return static_cast<std::int64_t>(found);
    }
    Size3 size_of(const JsonValue& value, const std::string& key, int least) const {
        if (value.list.size() != 3) throw FileError(path_, "\"" + key + "\" does not hold three sizes");
        return {whole(value.list[0], key, least), whole(value.list[1], key, least), whole(value.list[2], key, least)};
    }
    AffineVox affine_of(const JsonValue& value, const std::string& key) const {
        AffineVox affine;
        bool complete = value.list.size() == 4;
        for (std::size_t row = 0; complete && row < 4; ++row) complete = value.list[row].list.size() == 4;
        if (!complete) throw FileError(path_, "\"" + key + "\" is not a 4x4 matrix");
        for (std::size_t row = 0; row < 3; ++row)
            for (std::size_t column = 0; column < 4; ++column) affine.m[row][column] = number(value.list[row].list[column], key);
        if (!(std::fabs(determinant(affine)) > 1e-12)) throw FileError(path_, "\"" + key + "\" is singular");
        return affine;
    }
    Geometry geometry_of(const std::string& key) const {
        const JsonValue& value = member(root_, key);
        return {size_of(member(value, "size"), key, 2), affine_of(member(value, "affine"), key)};
    }

    std::string path_;
    JsonValue root_;
};

PendingFile text_file(const std::string& path, const std::string& text) {
    PendingFile file(path);
    file.write(text.data(), text.size());
    return file;
}

void append_little_endian(std::string& bytes, const std::vector<float>& values) {
    for (const float value : values) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(static_cast<unsigned char>(bits >> shift & 0xff)));
    }
}

std::vector<float> little_endian(const std::string& bytes, std::size_t first, std::size_t count) {
    std::vector<float> values(count);
    for (std::size_t n = 0; n < count; ++n) {
        std::uint32_t bits = 0;
        for (std::size_t byte = 0; byte < 4; ++byte)
            bits |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[4 * (first + n) + byte])) << (8 * byte);
        std::memcpy(&values[n], &bits, sizeof bits);
    }
    return values;
}

}  // namespace

std::string matrix_path(const std::string& stem) { return stem + "_matrix.txt"; }
std::string displacements_path(const std::string& stem) { return stem + "_displacements.dat"; }
std::string displacements_sidecar_path(const std::string& stem) { return stem + "_displacements.json"; }
std::string matrix_sidecar_path(const std::string& matrix_file) { return without_ending(matrix_file, ".txt") + ".json"; }

bool file_exists(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0;
}

std::vector<PendingFile> matrix_files(const std::string& stem, const AffineVox& affine, const PairGeometry& geometry) {
    std::ostringstream text;
    text.precision(9);
    for (int column = 0; column < 4; ++column) {
        for (const auto& row : affine.m) text << row[column] << "  ";
        text << (column == 3 ? 1 : 0) << "\n";
    }
    const std::string path = matrix_path(stem);
    std::vector<PendingFile> files;
    files.push_back(text_file(path, text.str()));
    files.push_back(text_file(matrix_sidecar_path(path), opening(matrix_format) + closing(geometry, affine)));
    return files;
}

std::vector<PendingFile> displacement_files(const std::string& stem, const Registration& registration) {
    const ControlField& field = registration.field.value();
    std::string bytes;
    bytes.reserve(12 * static_cast<std::size_t>(field.control.count()));
    append_little_endian(bytes, field.dj);
    append_little_endian(bytes, field.di);
    append_little_endian(bytes, field.dk);
    const std::string text = opening(displacements_format) +
                             "  \"type\": \"float32 little-endian\",\n  \"order\": \"j,i,k\",\n  \"unit\": \"voxel\",\n  \"control_size\": " +
                             json_of(field.control) + ",\n  \"grid_spacing\": " + std::to_string(field.spacing) + ",\n" +
                             closing(registration.geometry, registration.affine);
    std::vector<PendingFile> files;
    files.push_back(text_file(displacements_path(stem), bytes));
    files.push_back(text_file(displacements_sidecar_path(stem), text));
    return files;
}

AffineVox read_matrix(const std::string& path) {
    std::istringstream text(content_of(path, 1 << 16));
    std::vector<double> numbers;
    std::string word;
    while (text >> word) {
        char* rest = nullptr;
        const double value = std::strtod(word.c_str(), &rest);
        if (*rest != '\0' || !(std::fabs(value) <= largest_number))
            throw FileError(path, "\"" + word.substr(0, 40) + "\" is not a number of at most 1e9");
        numbers.push_back(value);
    }
    if (numbers.size() != 16) throw FileError(path, "holds " + std::to_string(numbers.size()) + " numbers, a 4x4 matrix has 16");
    AffineVox affine;
    for (std::size_t column = 0; column < 4; ++column) {
        for (std::size_t row = 0; row < 3; ++row) affine.m[row][column] = numbers[4 * column + row];
        if (std::fabs(numbers[4 * column + 3] - (column == 3 ? 1 : 0)) > 1e-3)
            throw FileError(path, "last column is not 0, 0, 0, 1: the translation belongs in the last line");
    }
    if (!(determinant(affine) > 0)) throw FileError(path, "determinant is " + exact(determinant(affine)) + ", a positive one is needed");
    return affine;
}

AffineVox read_matrix_for(const std::string& path, const PairGeometry& geometry) {
    const AffineVox affine = read_matrix(path);
    const std::string sidecar_path = matrix_sidecar_path(path);
    if (!file_exists(sidecar_path)) return affine;
    const PairGeometry own = Sidecar(sidecar_path, matrix_format).pair_geometry();
    const Geometry own_moving{own.registration.size, own.moving_to_world};
    const Geometry moving{geometry.registration.size, geometry.moving_to_world};
    if (same_geometry(own.registration, geometry.registration) && same_geometry(own_moving, moving)) return affine;
    const AffineVox to_own = composed(inverse(own.registration.to_world), geometry.registration.to_world);
    const AffineVox from_own = composed(inverse(geometry.moving_to_world), own.moving_to_world);
    return composed(from_own, composed(affine, to_own));
}

Registration read_registration(const std::string& stem) {
    const Sidecar sidecar(displacements_sidecar_path(stem), displacements_format);
    Registration registration;
    registration.geometry = sidecar.pair_geometry();
    registration.affine = sidecar.affine("affine");
    const int spacing = sidecar.whole_number("grid_spacing");
    const Size3 size = registration.geometry.registration.size, control = sidecar.size("control_size");
    const Size3 expected{size.x / spacing, size.y / spacing, size.z / spacing};
    if (control != expected)
        throw FileError(sidecar.path(), "\"control_size\" is " + text_of(control) + ", " + text_of(size) + " voxels at grid spacing " +
                                            std::to_string(spacing) + " make " + text_of(expected));
    registration.field = read_displacements(displacements_path(stem), size, spacing);
    return registration;
}

Registration read_affine_registration(const std::string& matrix_file) {
    const std::string path = matrix_sidecar_path(matrix_file);
    if (!file_exists(path)) throw FileError(path, "is missing: without it give --registration-image (the image whose grid was registered)");
    const Sidecar sidecar(path, matrix_format);
    Registration registration;
    registration.geometry = sidecar.pair_geometry();
    registration.affine = read_matrix(matrix_file);
    return registration;
}

ControlField read_displacements(const std::string& path, Size3 size, int grid_spacing) {
    ControlField field;
    field.spacing = grid_spacing;
    field.image = size;
    field.control = {size.x / grid_spacing, size.y / grid_spacing, size.z / grid_spacing};
    const std::int64_t count = field.control.count();
    if (count < 1)
        throw FileError(path, text_of(size) + " voxels have no control points at grid spacing " + std::to_string(grid_spacing));
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) throw FileError(path, "cannot be read: " + std::string(std::strerror(errno)));
    if (status.st_size != 12 * count)
        throw FileError(path, "has " + std::to_string(status.st_size) + " bytes, " + std::to_string(12 * count) + " are expected (" +
                                  text_of(field.control) + " control points: " + text_of(size) + " voxels at grid spacing " +
                                  std::to_string(grid_spacing) + ")");
    const std::string bytes = content_of(path, 12 * count);
    if (static_cast<std::int64_t>(bytes.size()) != 12 * count) throw FileError(path, "could not be read to its end");
    const auto points = static_cast<std::size_t>(count);
    field.dj = little_endian(bytes, 0, points);
    field.di = little_endian(bytes, points, points);
    field.dk = little_endian(bytes, 2 * points, points);
    std::int64_t unusable = 0;
    for (const auto* component : {&field.di, &field.dj, &field.dk})
        for (const float value : *component)
            if (!(std::fabs(value) < 1e6f)) ++unusable;
    if (unusable > 0) throw FileError(path, std::to_string(unusable) + " displacements are not finite numbers of voxels");
    return field;
}

}  // namespace deeds
