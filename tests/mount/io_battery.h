// Every way of moving bytes that the kernel serves from the backing file alone, on one file.
#pragma once

#include <string>

namespace plyfs::test {

// path is created or emptied; content is checked after each way. Ends the test at the first byte that is wrong.
void move_bytes_every_way(const std::string& path);
// The same for reading a file with that content, from an O_RDONLY descriptor.
void read_every_way(const std::string& path, const std::string& content);

// False when this machine lacks it (then a line says so).
bool write_by_uring(int fd, const std::string& content, off_t at);
bool write_by_libaio(int fd, const std::string& content, off_t at);

}  // namespace plyfs::test
