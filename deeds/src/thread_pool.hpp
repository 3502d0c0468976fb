// What:          a fixed set of threads that share out numbered tasks, and a count cut into one part a thread.
// Source:        this project.
// Complexity:    one atomic increment a task; idle threads sleep.
// Thread safety: run() is called from one thread at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace deeds {

class ThreadPool {
  public:
    /// `threads` counts the calling thread; 1 starts none.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    /// Calls task(index) for every index in [0, count), in any order; returns when all are done.
    /// The first exception of a task is thrown again here, after the others have stopped.
    void run(std::int64_t count, const std::function<void(std::int64_t)>& task);

  private:
    void work();
    void take_tasks();

    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable started_, finished_;
    const std::function<void(std::int64_t)>* task_ = nullptr;
    std::atomic<std::int64_t> next_{0};
    std::int64_t count_ = 0;
    std::uint64_t round_ = 0;
    std::size_t busy_ = 0;
    std::exception_ptr failure_;
    bool stopping_ = false;
};

/// Calls body(first, last) on contiguous parts of [0, count), in `threads` threads.
void in_parallel(std::int64_t count, int threads, const std::function<void(std::int64_t, std::int64_t)>& body);

}  // namespace deeds
