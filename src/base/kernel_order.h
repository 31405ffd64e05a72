// The kernel sends a request that has to do with an answer after it has that answer, whichever threads serve the two.
// ThreadSanitizer sees it over /dev/fuse, where both pass one descriptor; over io_uring it has to be told. Nothing in
// other builds.
#pragma once

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace plyfs {

inline char kernel_order_place;

inline void after_answers() {
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(&kernel_order_place);
#endif
}
inline void before_answer() {
#if defined(__SANITIZE_THREAD__)
    __tsan_release(&kernel_order_place);
#endif
}

}  // namespace plyfs
