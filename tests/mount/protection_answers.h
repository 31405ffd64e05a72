// What immutable and append-only objects of a mount answer, so that two file systems can be compared.
#pragma once

#include <string>
#include <vector>

namespace plyfs::test {

// Below `root`, to be flagged by protect() in the same or in another place.
void make_objects(const std::string& root);
void protect(const std::string& root);

// Everything that the flags may forbid, tried on them through a mount, each as one "WHAT: ERROR".
std::vector<std::string> answers(const std::string& root);

}  // namespace plyfs::test
