// main of every executable of tests that mount: the sandbox around doctest, the transport switch around the
// sandbox, and the accounting that tells a skipped test case (exit code 77) from one that failed.
#define DOCTEST_CONFIG_IMPLEMENT
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "support/check.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"

namespace {

constexpr int kSkipCode = 77;
constexpr int kSecondsPerTest = 90;
int skips = 0;
int cases = 0;
std::vector<std::string> failures;

// Says once more at the end, a line each, what failed: packaging/check gathers these lines.
struct Accountant : doctest::IReporter {
    std::string test_case;

    explicit Accountant(const doctest::ContextOptions&) {}
    void failed(const char* file, int line, const std::string& what) {
        failures.push_back(test_case + " (" + file + ":" + std::to_string(line) +
                           "): " + what.substr(0, what.find('\n')));
    }
    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {
        for (const std::string& line : failures) std::printf("FAILED: %s\n", line.c_str());
    }
    void test_case_start(const doctest::TestCaseData& data) override {
        cases++;
        test_case = data.m_name;
        plyfs::test::set_deadline(kSecondsPerTest, data.m_name);
    }
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException& e) override {
        const char* text = e.error_string.c_str();
        if (std::strncmp(text, "SKIPPED: ", 9) == 0) {
            std::printf("%s\n", text);
            skips++;
        } else {
            failed("exception", 0, text);
        }
    }
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData& data) override {
        if (!data.m_failed || (data.m_at & doctest::assertType::is_warn)) return;
        failed(data.m_file, data.m_line, std::string(data.m_expr) + ", which was " + data.m_decomp.c_str());
    }
    void log_message(const doctest::MessageData& data) override {
        if (!(data.m_severity & doctest::assertType::is_warn)) failed(data.m_file, data.m_line, data.m_string.c_str());
    }
    void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("accountant", 1, Accountant);

REGISTER_EXCEPTION_TRANSLATOR(plyfs::test::Skipped& e) {
    return doctest::String(e.what());
}
REGISTER_EXCEPTION_TRANSLATOR(std::exception& e) {
    return doctest::String(e.what());
}

bool only_asks(int argc, char** argv) {
    for (int i = 1; i < argc; i++)
        for (const char* word : {"--list-", "--help", "--version", "--count"})
            if (std::strncmp(argv[i], word, std::strlen(word)) == 0) return true;
    return false;
}

int run_tests(int argc, char** argv) {
    doctest::Context context(argc, argv);
    context.run();
    if (cases == 0) {
        std::printf("no test case was run\n");
        return 1;
    }
    if (!failures.empty()) return 1;
    return skips == cases ? kSkipCode : 0;
}

// --transport=X is PLYFS_TEST_TRANSPORT=X, --unprivileged is PLYFS_TEST_UNPRIVILEGED=1: ctest registers every test case
// once for each.
void take_words(int argc, char** argv) {
    constexpr std::size_t kLength = 12;
    for (int i = 1; i < argc; i++) {
        if (std::strncmp(argv[i], "--transport=", kLength) == 0) ::setenv("PLYFS_TEST_TRANSPORT", argv[i] + kLength, 1);
        if (std::strcmp(argv[i], "--unprivileged") == 0) ::setenv("PLYFS_TEST_UNPRIVILEGED", "1", 1);
    }
}

bool may_have_user_namespace() {
    return plyfs::test::in_child([] { return ::unshare(CLONE_NEWUSER) == 0 ? 0 : 1; }) == 0;
}

}  // namespace

int main(int argc, char** argv) {
    take_words(argc, argv);
    if (only_asks(argc, argv)) return doctest::Context(argc, argv).run();
    if (::geteuid() != 0) {
        std::printf("SKIPPED: mounting needs root\n");
        return kSkipCode;
    }
    if (::access("/dev/fuse", R_OK | W_OK) != 0) {
        std::printf("SKIPPED: no /dev/fuse here\n");
        return kSkipCode;
    }
    if (std::getenv("PLYFS_TEST_UNPRIVILEGED") && !may_have_user_namespace()) {
        std::printf("SKIPPED: no user namespaces here, as in a chroot\n");
        return kSkipCode;
    }
    plyfs::test::TransportSwitch transport;
    if (!transport.available()) {
        std::printf("SKIPPED: %s\n", transport.why_not().c_str());
        return kSkipCode;
    }
    // Outside, so that it is removed also when the inside is killed; there its mounts do not exist.
    plyfs::test::Scratch scratch;
    ::setenv("PLYFS_TEST_TMP", scratch.path().c_str(), 1);
    return plyfs::test::run_in_sandbox([&] { return run_tests(argc, argv); });
}
