// What:          see thread_pool.hpp.
// Source:        this project.
// Complexity:    see thread_pool.hpp.
// Thread safety: see thread_pool.hpp.
#include "thread_pool.hpp"

#include <algorithm>
#include <utility>

namespace deeds {

ThreadPool::ThreadPool(int threads) {
    for (int t = 1; t < threads; ++t) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    started_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::int64_t count, const std::function<void(std::int64_t)>& task) {
    if (workers_.empty() || count <= 1) {
        for (std::int64_t index = 0; index < count; ++index) task(index);
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        task_ = &task;
        count_ = count;
        next_ = 0;
        busy_ = workers_.size();
        ++round_;
    }
    started_.notify_all();
    take_tasks();
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [this] { return busy_ == 0; });
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::work() {
    std::uint64_t seen = 0;
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(mutex_);
            started_.wait(lock, [&] { return stopping_ || round_ != seen; });
            if (stopping_) return;
            seen = round_;
        }
        take_tasks();
        const std::lock_guard<std::mutex> lock(mutex_);
        if (--busy_ == 0) finished_.notify_one();
    }
}

void ThreadPool::take_tasks() {
    try {
        for (std::int64_t index = next_++; index < count_; index = next_++) (*task_)(index);
    } catch (...) {
        next_ = count_;
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
    }
}

void in_parallel(std::int64_t count, int threads, const std::function<void(std::int64_t, std::int64_t)>& body) {
    const std::int64_t parts = std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(count, 1));
    std::vector<std::thread> others;
    for (std::int64_t part = 1; part < parts; ++part)
        others.emplace_back(body, count * part / parts, count * (part + 1) / parts);
    body(0, count / parts);
    for (std::thread& other : others) other.join();
}

}  // namespace deeds
