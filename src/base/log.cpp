#include "base/log_journal.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

namespace plyfs::log {
namespace {

constexpr std::string_view kNames[] = {"trace", "debug", "info", "warn", "error", "off"};
std::atomic<Level> g_level{Level::info};

std::atomic<bool> g_journal{false};

// As syslog(3) counts them.
int priority_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::critical:
        case spdlog::level::err:
            return LOG_ERR;
        case spdlog::level::warn:
            return LOG_WARNING;
        case spdlog::level::info:
            return LOG_INFO;
        default:
            return LOG_DEBUG;
    }
}

class PriorityFlag : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
        out.push_back(static_cast<char>('0' + priority_of(message.level)));
    }
    std::unique_ptr<spdlog::custom_flag_formatter> clone() const override { return std::make_unique<PriorityFlag>(); }
};

std::unique_ptr<spdlog::logger> make_stderr() {
    auto logger = std::make_unique<spdlog::logger>("plyfs", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("plyfs: %l: %v");
    logger->set_level(spdlog::level::trace);  // the level is checked before formatting, in enabled()
    logger->flush_on(spdlog::level::trace);
    return logger;
}

// None is ever destroyed, also where another one takes its place: threads may still log, also while the process exits.
std::atomic<spdlog::logger*>& current() {
    static auto* instance = new std::atomic<spdlog::logger*>(make_stderr().release());
    return *instance;
}

spdlog::logger* logger() {
    return current().load(std::memory_order_acquire);
}

void replace_logger(std::unique_ptr<spdlog::logger> next) {
    next->set_level(spdlog::level::trace);
    current().store(next.release(), std::memory_order_release);
}

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::trace:
            return spdlog::level::trace;
        case Level::debug:
            return spdlog::level::debug;
        case Level::info:
            return spdlog::level::info;
        case Level::warn:
            return spdlog::level::warn;
        case Level::error:
            return spdlog::level::err;
        case Level::off:
            break;
    }
    return spdlog::level::off;
}

}  // namespace

bool parse_level(std::string_view word, Level& out) {
    for (int i = 0; i <= static_cast<int>(Level::off); ++i) {
        if (kNames[i] != word) continue;
        out = static_cast<Level>(i);
        return true;
    }
    return false;
}

std::string_view level_name(Level level) {
    return kNames[static_cast<int>(level)];
}

void set_level(Level level) {
    g_level.store(level, std::memory_order_relaxed);
}

bool enabled(Level level) {
    return level != Level::off && level >= g_level.load(std::memory_order_relaxed);
}

void to_journal() {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<PriorityFlag>('*').set_pattern("<%*>plyfs: %v");
    logger()->set_formatter(std::move(formatter));
    g_journal = true;
}

std::string priority_prefix(Level level) {
    return g_journal ? fmt::format("<{}>", priority_of(to_spdlog(level))) : std::string();
}

void to_syslog() {
    auto sink = std::make_shared<spdlog::sinks::syslog_sink_mt>("plyfs", LOG_PID, LOG_DAEMON, true);
    auto next = std::make_unique<spdlog::logger>("plyfs", sink);
    next->set_pattern("%v");
    replace_logger(std::move(next));
}

bool to_file(const std::string& path) {
    try {
        auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
        auto next = std::make_unique<spdlog::logger>("plyfs", sink);
        next->set_pattern("%Y-%m-%d %H:%M:%S.%e [%P] %l: %v");
        next->flush_on(spdlog::level::trace);
        replace_logger(std::move(next));
        return true;
    } catch (const spdlog::spdlog_ex&) {
        return false;
    }
}

bool is_due() {
    using Clock = std::chrono::steady_clock;
    static std::atomic<Clock::rep> latest{0};
    const auto now = Clock::now().time_since_epoch();
    auto before = latest.load(std::memory_order_relaxed);
    return (before == 0 || now - Clock::duration(before) >= std::chrono::seconds(1)) &&
           latest.compare_exchange_strong(before, now.count());
}

void write(Level level, std::string_view line) {
    logger()->log(to_spdlog(level), "{}", in_one_line(line));
}

std::string in_one_line(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\{:03o}", byte);
        } else {
            out += c;
        }
    }
    return out;
}

std::string errno_text(int err) {
    const char* name = strerrorname_np(err);
    return fmt::format("{} ({})", strerrordesc_np(err) ? strerrordesc_np(err) : "unknown error", name ? name : "?");
}

}  // namespace plyfs::log
