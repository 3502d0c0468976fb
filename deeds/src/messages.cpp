// What:          see messages.hpp.
// Source:        see messages.hpp.
// Complexity:    see messages.hpp.
// Thread safety: see messages.hpp.
#include "messages.hpp"

#include <algorithm>
#include <unordered_map>

#include "kernels.hpp"

namespace deeds {
namespace {

/// Cost of the padding beside the labels of a row.
constexpr float kNeverChosen = 1e30f;
constexpr std::int32_t kNoSlot = -1;

/// Part [first, end) of the tree's order that is one whole subtree.
struct Subtree {
    std::size_t first, end;
};

class MinSum {
  public:
    MinSum(const Tree& tree, const SearchLevel& level, float scale, const std::array<std::vector<float>, 3>& base,
           const ControlPoints& points, std::vector<std::uint16_t>& sums)
        : tree_(tree),
          shape_(label_shape(level.length())),
          scale_(scale),
          base_(base),
          compared_(points.count),
          sums_(sums),
          slot_(slots_of(tree, points)),
          step_(tree.order.size(), 0.0f),
          label_(tree.order.size(), 0) {
        const std::int32_t last = *std::max_element(slot_.begin(), slot_.end());
        sums_.resize((static_cast<std::size_t>(last) + 1) * static_cast<std::size_t>(shape_.labels()) + kSumsSlack);
    }

    std::vector<std::int32_t> run(ThreadPool& pool) {
        const std::vector<Subtree> tasks = split(pool.threads());
        std::vector<std::vector<float>> task_messages(tasks.size());
        pool.run(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t t) {
            const Subtree task = tasks[static_cast<std::size_t>(t)];
            task_messages[static_cast<std::size_t>(t)] = send_up(task.first, task.end, {}, {});
        });
        send_up(0, tree_.order.size(), tasks, task_messages);
        std::size_t skipped = tasks.size();
        for (std::size_t at = tree_.order.size(); at > 0;) {
            if (skipped > 0 && tasks[skipped - 1].end == at) {
                at = tasks[--skipped].first;
            } else {
                choose_label(tree_.order[--at]);
            }
        }
        pool.run(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t t) {
            const Subtree task = tasks[static_cast<std::size_t>(t)];
            for (std::size_t at = task.end; at > task.first;) choose_label(tree_.order[--at]);
        });
        return std::move(label_);
    }

  private:
    /// Places of the beliefs: those of compared points as in their costs; then those of other nodes that stand between a
    /// compared one and the root; kNoSlot below them, where no message comes from.
    static std::vector<std::int32_t> slots_of(const Tree& tree, const ControlPoints& points) {
        const Size3 size = points.region.size;
        std::vector<std::int32_t> slots(tree.order.size(), kNoSlot);
        for (std::int64_t c = 0; c < size.z; ++c) {
            for (std::int64_t b = 0; b < size.y; ++b) {
                const Span row = points.region.row(b, c);
                for (std::int64_t a = row.first; a < row.end; ++a) {
                    slots[static_cast<std::size_t>((c * size.y + b) * size.x + a)] =
                        static_cast<std::int32_t>(points.slot(a, b, c));
                }
            }
        }
        std::int32_t next = static_cast<std::int32_t>(points.count);
        for (const std::int32_t node : tree.order) {
            const std::int32_t parent = tree.parent[index(node)];
            if (slots[index(node)] != kNoSlot && parent >= 0 && slots[index(parent)] == kNoSlot) slots[index(parent)] = next++;
        }
        return slots;
    }

    /// The largest subtrees below a share of the tree; none when there is nobody to share with.
    std::vector<Subtree> split(int threads) const {
        std::vector<Subtree> tasks;
        const std::size_t count = tree_.order.size();
        if (threads == 1) return tasks;
        const std::size_t limit = std::max<std::size_t>(1, count / (8 * static_cast<std::size_t>(threads)));
        const std::size_t least = std::max<std::size_t>(1, count / 2000);
        for (std::size_t at = count; at > 0;) {
            const std::size_t size = static_cast<std::size_t>(tree_.subtree_size[index(tree_.order[at - 1])]);
            if (size > limit) {
                --at;
                continue;
            }
            if (size >= least) tasks.push_back({at - size, at});
            at -= size;
        }
        std::reverse(tasks.begin(), tasks.end());
        return tasks;
    }

    /// Handles order[first, end) but for the given subtrees, whose messages are known; returns the message of the
    /// last node to its parent (its belief at the root).
    std::vector<float> send_up(std::size_t first, std::size_t end, const std::vector<Subtree>& known,
                               const std::vector<std::vector<float>>& known_messages) {
        const std::size_t floats = static_cast<std::size_t>(shape_.floats());
        std::vector<float> message(floats), scratch(floats);
        std::unordered_map<std::int32_t, std::vector<float>> received;
        std::vector<std::vector<float>> spare;
        const auto pass_on = [&](std::int32_t parent, const std::vector<float>& values) {
            const auto found = received.find(parent);
            if (found != received.end()) {
                kernels().add_message(values.data(), shape_, true, found->second.data());
                return;
            }
            std::vector<float> sum = spare.empty() ? std::vector<float>(floats) : std::move(spare.back());
            if (!spare.empty()) spare.pop_back();
            kernels().add_message(values.data(), shape_, false, sum.data());
            received.emplace(parent, std::move(sum));
        };
        std::size_t next_known = 0;
        for (std::size_t at = first; at < end; ++at) {
            if (next_known < known.size() && known[next_known].first == at) {
                at = known[next_known].end - 1;
                const std::int32_t top = tree_.order[at];
                if (slot_[index(top)] != kNoSlot) pass_on(tree_.parent[index(top)], known_messages[next_known]);
                ++next_known;
                continue;
            }
            const std::int32_t node = tree_.order[at];
            if (slot_[index(node)] == kNoSlot) continue;
            const auto found = received.find(node);
            send(node, found == received.end() ? nullptr : found->second.data(), message.data(), scratch.data());
            if (found != received.end()) {
                spare.push_back(std::move(found->second));
                received.erase(found);
            }
            if (at + 1 < end) pass_on(tree_.parent[index(node)], message);
        }
        return message;
    }

    void send(std::int32_t node, const float* received, float* message, float* scratch) {
        std::uint16_t* stored = sums_.data() + stored_offset(node);
        const bool compared = slot_[index(node)] < compared_;
        kernels().belief(compared ? stored : nullptr, scale_, received, tree_.weight[index(node)], shape_, message);
        step_[index(node)] = kernels().store_belief(message, shape_, stored);
        const std::int32_t parent = tree_.parent[index(node)];
        if (parent < 0) return;
        float delta[3];
        for (std::size_t axis = 0; axis < 3; ++axis) delta[axis] = base_difference(axis, node, parent);
        kernels().min_plus(message, scratch, shape_, delta);
    }

    void choose_label(std::int32_t node) {
        const std::int32_t parent = tree_.parent[index(node)];
        float cost[3][2 * kMaximumRadius + 1 + kVectorFloats] = {};
        std::fill(cost[0] + shape_.length, cost[0] + shape_.padded, kNeverChosen);
        if (parent < 0 && slot_[index(node)] == kNoSlot) {  // nothing is compared at all
            label_[index(node)] = static_cast<std::int32_t>(shape_.labels() / 2);
            return;
        }
        if (parent >= 0) {
            std::int32_t rest = label_[index(parent)];
            for (std::size_t axis = 0; axis < 3; ++axis) {
                const float target = static_cast<float>(rest % shape_.length) + base_difference(axis, node, parent);
                rest /= shape_.length;
                for (int l = 0; l < shape_.length; ++l) {
                    const float distance = target - static_cast<float>(l);
                    cost[axis][l] = distance * distance;
                }
            }
        }
        label_[index(node)] = slot_[index(node)] == kNoSlot ? nearest_label(cost[0], cost[1], cost[2])
                                                            : static_cast<std::int32_t>(kernels().best_label(
                                                                  sums_.data() + stored_offset(node), step_[index(node)],
                                                                  cost[0], cost[1], cost[2], shape_));
    }

    /// The label of a node that costs nothing itself.
    std::int32_t nearest_label(const float* cost_i, const float* cost_j, const float* cost_k) const {
        const auto least = [this](const float* cost) {
            return static_cast<std::int32_t>(std::min_element(cost, cost + shape_.length) - cost);
        };
        return (least(cost_k) * shape_.length + least(cost_j)) * shape_.length + least(cost_i);
    }

    float base_difference(std::size_t axis, std::int32_t node, std::int32_t parent) const {
        return base_[axis][index(parent)] - base_[axis][index(node)];
    }
    std::size_t stored_offset(std::int32_t node) const {
        return index(slot_[index(node)]) * static_cast<std::size_t>(shape_.labels());
    }
    static std::size_t index(std::int32_t node) { return static_cast<std::size_t>(node); }

    const Tree& tree_;
    LabelShape shape_;
    float scale_;
    const std::array<std::vector<float>, 3>& base_;
    std::int64_t compared_;  ///< slots below this one hold costs
    std::vector<std::uint16_t>& sums_;
    std::vector<std::int32_t> slot_;
    std::vector<float> step_;  ///< value of one step of each node's stored belief
    std::vector<std::int32_t> label_;
};

}  // namespace

std::vector<std::int32_t> best_labels(const Tree& tree, const SearchLevel& level, float scale,
                                      const std::array<std::vector<float>, 3>& base, const ControlPoints& points,
                                      ThreadPool& pool, std::vector<std::uint16_t>& sums) {
    return MinSum(tree, level, scale, base, points, sums).run(pool);
}

}  // namespace deeds
