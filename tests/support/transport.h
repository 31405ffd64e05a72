// Which transport the tests mount with: PLYFS_TEST_TRANSPORT is devfuse (the default), io_uring or auto. FUSE
// over io_uring must be allowed by the fuse module; TransportSwitch allows it while any test process needs it
// and puts the old value back when the last one ends.
#pragma once

#include <string>

namespace plyfs::test {

std::string wanted_transport();

class TransportSwitch {
  public:
    TransportSwitch();
    ~TransportSwitch();
    TransportSwitch(const TransportSwitch&) = delete;
    TransportSwitch& operator=(const TransportSwitch&) = delete;

    bool available() const { return why_not_.empty(); }
    const std::string& why_not() const { return why_not_; }

  private:
    int lock_ = -1;  // held shared by every process that needs the switch on; its content is the value to put back
    std::string why_not_;
};

}  // namespace plyfs::test
