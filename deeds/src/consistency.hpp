// What:          two opposite control fields made inverse to one another, and the Jacobian of a control field.
// Source:        Heinrich et al., IEEE TMI 2013 (symmetric, inverse-consistent update).
// Complexity:    rounds x control points.
// Thread safety: slices are shared out to the pool; each writes only its own points.
#pragma once

#include "thread_pool.hpp"
#include "transform.hpp"

namespace deeds {

/// Ten rounds of u <- (u - v(x + u)) / 2 and v <- (v - u(x + v)) / 2, both from the pair of the round before.
void make_consistent(ControlField& forward, ControlField& backward, ThreadPool& pool);

struct JacobianSummary {
    double standard_deviation;
    double folding_share;  ///< control points with a determinant below 0
};
/// Determinants of x + u on the control grid, by central differences (one-sided at the border).
JacobianSummary jacobian_summary(const ControlField& field);

}  // namespace deeds
