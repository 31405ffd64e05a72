#include "sys/shared_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace plyfs::sys {

Result<SharedMemory> SharedMemory::make(std::size_t size) {
    UniqueFd fd(::memfd_create("plyfs", MFD_CLOEXEC));
    if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return Errno::last();
    return map(std::move(fd), size);
}

Result<SharedMemory> SharedMemory::map(UniqueFd fd, std::size_t size) {
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
    if (data == MAP_FAILED) return Errno::last();
    ::madvise(data, size, MADV_DONTDUMP);
    return SharedMemory(std::move(fd), data, size);
}

SharedMemory::~SharedMemory() {
    if (data_) ::munmap(data_, size_);
}

void populate(void* buffer, std::size_t size) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(buffer) & ~(page - 1);
    const auto end = reinterpret_cast<std::uintptr_t>(buffer) + size;
    if (::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE) == 0) return;
    for (std::size_t at = 0; at < size; at += page) static_cast<volatile char*>(buffer)[at] = 0;
}

}  // namespace plyfs::sys
