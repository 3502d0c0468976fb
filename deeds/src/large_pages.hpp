// What:          memory of large arrays, on large pages where the system has them.
// Source:        this project; transparent huge pages of Linux, asked for by madvise.
// Complexity:    constant; what is written for the first time costs one fault for 2 MiB instead of one for 4 KiB.
// Thread safety: as operator new.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace deeds {

/// An allocator for arrays that are read all over; small ones lie as usual.
template <class T>
struct LargePages {
    using value_type = T;

    LargePages() = default;
    template <class Other>
    LargePages(const LargePages<Other>&) {}

    T* allocate(std::size_t count) {
        const std::size_t bytes = count * sizeof(T);
        if (!is_large(bytes)) return static_cast<T*>(::operator new(bytes));
        void* memory = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
        if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
        madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: where it is refused, pages stay small
#endif
        return static_cast<T*>(memory);
    }

    void deallocate(T* memory, std::size_t count) {
        if (is_large(count * sizeof(T))) {
            std::free(memory);
        } else {
            ::operator delete(memory);
        }
    }

    template <class Other>
    bool operator==(const LargePages<Other>&) const {
        return true;
    }
    template <class Other>
    bool operator!=(const LargePages<Other>&) const {
        return false;
    }

  private:
    static constexpr std::size_t kPage = std::size_t{2} << 20;
    static bool is_large(std::size_t bytes) { return bytes >= 2 * kPage; }
};

template <class T>
using LargeArray = std::vector<T, LargePages<T>>;

}  // namespace deeds
