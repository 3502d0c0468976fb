// What:          see warp.hpp.
// Source:        see warp.hpp.
// Complexity:    see warp.hpp.
// Thread safety: see warp.hpp.
#include "warp.hpp"

#include <algorithm>

#include "kernels.hpp"

namespace deeds {
namespace {

/// Trilinear enlargement of one component of a control field to rows of a grid of another size.
class RowInterpolator {
  public:
    RowInterpolator(Size3 control, Size3 target)
        : control_(control), x_(axis(control.x, target.x)), y_(axis(control.y, target.y)), z_(axis(control.z, target.z)) {}

    /// out: all target.x values of row (y, z); scratch: control.x values.
    void row(const std::vector<float>& values, std::int64_t y, std::int64_t z, float* scratch, float* out) const {
        part_of_row(values, {0, static_cast<std::int64_t>(x_.size())}, y, z, scratch, out);
    }

    /// The values of the span alone.
    void part_of_row(const std::vector<float>& values, Span span, std::int64_t y, std::int64_t z, float* scratch,
                     float* out) const {
        const Position py = y_[static_cast<std::size_t>(y)], pz = z_[static_cast<std::size_t>(z)];
        const float* a = values.data() + (pz.low * control_.y + py.low) * control_.x;
        const float* b = values.data() + (pz.low * control_.y + py.high) * control_.x;
        const float* c = values.data() + (pz.high * control_.y + py.low) * control_.x;
        const float* d = values.data() + (pz.high * control_.y + py.high) * control_.x;
        for (std::int64_t x = 0; x < control_.x; ++x) {
            const float near = a[x] + py.share * (b[x] - a[x]);
            const float far = c[x] + py.share * (d[x] - c[x]);
            scratch[x] = near + pz.share * (far - near);
        }
        for (std::int64_t n = 0; n < span.count(); ++n) {
            const Position& at = x_[static_cast<std::size_t>(span.first + n)];
            const float low = scratch[at.low];
            out[n] = low + at.share * (scratch[at.high] - low);
        }
    }

  private:
    struct Position {
        std::int32_t low, high;
        float share;
    };

    static std::vector<Position> axis(std::int64_t control, std::int64_t target) {
        std::vector<Position> positions;
        for (std::int64_t t = 0; t < target; ++t) {
            const double at = std::min(static_cast<double>(t) * static_cast<double>(control) / static_cast<double>(target),
                                       static_cast<double>(control - 1));
            const std::int64_t low = static_cast<std::int64_t>(at);
            positions.push_back({static_cast<std::int32_t>(low), static_cast<std::int32_t>(std::min(low + 1, control - 1)),
                                 static_cast<float>(at - static_cast<double>(low))});
        }
        return positions;
    }

    Size3 control_;
    std::vector<Position> x_, y_, z_;
};

}  // namespace

void warp_image(const Grid3<float>& source, const AffineVox& affine, const ControlField* field, Outside outside,
                const Region& region, ThreadPool& pool, Grid3<float>& out) {
    const Size3 size = source.size;
    out.size = size;
    out.values.resize(static_cast<std::size_t>(size.count()));
    const RowInterpolator interpolator(field != nullptr ? field->control : size, size);
    const std::size_t row_size = static_cast<std::size_t>(size.x);
    pool.run(size.z, [&](std::int64_t z) {
        std::vector<float> coordinates[3], displacement(row_size), scratch(row_size);
        for (auto& axis : coordinates) axis.resize(row_size);
        for (std::int64_t y = 0; y < size.y; ++y) {
            const Span span = region.row(y, z);
            if (span.empty()) continue;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                const auto& m = affine.m[axis];
                const float start = static_cast<float>(m[1] * static_cast<double>(y) + m[2] * static_cast<double>(z) + m[3]);
                const float slope = static_cast<float>(m[0]);
                float* to = coordinates[axis].data();
                for (std::int64_t n = 0; n < span.count(); ++n) to[n] = start + slope * static_cast<float>(span.first + n);
                if (field == nullptr) continue;
                const auto& values = axis == 0 ? field->di : axis == 1 ? field->dj : field->dk;
                interpolator.part_of_row(values, span, y, z, scratch.data(), displacement.data());
                for (std::int64_t n = 0; n < span.count(); ++n) to[n] += displacement[static_cast<std::size_t>(n)];
            }
            kernels().warp_row({source.values.data(), size.x, size.y, size.z, coordinates[0].data(), coordinates[1].data(),
                                coordinates[2].data(), out.values.data() + out.index(span.first, y, z), span.count(),
                                outside.replicate, outside.background});
        }
    });
}

DenseField dense_field(const ControlField& field) {
    DenseField dense{Grid3<float>(field.image), Grid3<float>(field.image), Grid3<float>(field.image)};
    const RowInterpolator interpolator(field.control, field.image);
    std::vector<float> scratch(static_cast<std::size_t>(field.control.x));
    for (std::int64_t z = 0; z < field.image.z; ++z) {
        for (std::int64_t y = 0; y < field.image.y; ++y) {
            interpolator.row(field.di, y, z, scratch.data(), &dense.di.at(0, y, z));
            interpolator.row(field.dj, y, z, scratch.data(), &dense.dj.at(0, y, z));
            interpolator.row(field.dk, y, z, scratch.data(), &dense.dk.at(0, y, z));
        }
    }
    return dense;
}

ControlField zero_field(Size3 image, int spacing) {
    ControlField field;
    field.image = image;
    field.spacing = spacing;
    field.control = {image.x / spacing, image.y / spacing, image.z / spacing};
    for (auto* component : {&field.di, &field.dj, &field.dk}) {
        component->assign(static_cast<std::size_t>(field.control.count()), 0.0f);
    }
    return field;
}

ControlField resampled(const ControlField& field, int spacing) {
    ControlField out = zero_field(field.image, spacing);
    const RowInterpolator interpolator(field.control, out.control);
    std::vector<float> scratch(static_cast<std::size_t>(field.control.x));
    for (std::int64_t z = 0; z < out.control.z; ++z) {
        for (std::int64_t y = 0; y < out.control.y; ++y) {
            const std::int64_t start = (z * out.control.y + y) * out.control.x;
            interpolator.row(field.di, y, z, scratch.data(), out.di.data() + start);
            interpolator.row(field.dj, y, z, scratch.data(), out.dj.data() + start);
            interpolator.row(field.dk, y, z, scratch.data(), out.dk.data() + start);
        }
    }
    return out;
}

}  // namespace deeds
