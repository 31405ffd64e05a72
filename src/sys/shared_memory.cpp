#include "sys/shared_memory.h"

#include <sys/mman.h>

namespace plyfs::sys {

Result<SharedMemory> SharedMemory::make(std::size_t size) {
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) return Errno::last();
    ::madvise(data, size, MADV_DONTDUMP);
    return SharedMemory(data, size);
}

SharedMemory::~SharedMemory() {
    if (data_) ::munmap(data_, size_);
}

}  // namespace plyfs::sys
