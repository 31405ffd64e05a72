#include <fmt/format.h>

#include <functional>

#include "base/log.h"
#include "base/utf8.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/counters.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/page_server.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

struct Sample {
    std::string mount;
    Json status;
    Counters counters;
};
using Samples = std::vector<Sample>;

// Labels are UTF-8.
std::string label(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(std::string_view(text).substr(i));
        if (length == 0) {
            out += "\xef\xbf\xbd";
        } else if (text[i] == '\\' || text[i] == '"') {
            out += '\\';
            out += text[i];
        } else if (text[i] == '\n') {
            out += "\\n";
        } else {
            out.append(text, i, length);
        }
        i += length ? length : 1;
    }
    return out;
}

std::string seconds(std::uint64_t nanoseconds) {
    return fmt::format("{}", static_cast<double>(nanoseconds) / 1e9);
}

class Page {
  public:
    void family(const std::string& name, const std::string& type, const std::string& help) {
        name_ = name;
        text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    }
    // labels: "a=\"b\"" and so on, without braces; end: of the family's name.
    void line(const std::string& labels, const std::string& value, const std::string& end = "") {
        text_ += fmt::format("{}{}{{{}}} {}\n", name_, end, labels, value);
    }
    void plain(const std::string& value) { text_ += name_ + " " + value + "\n"; }
    const std::string& text() const { return text_; }

  private:
    std::string name_;
    std::string text_;
};

std::string of(const Sample& sample) {
    return "mountpoint=\"" + label(sample.mount) + "\"";
}

void add_requests(Page& page, const Samples& samples) {
    page.family("plyfs_requests_total", "counter", "Requests of the kernel to the daemon.");
    for (const auto& sample : samples) {
        for (const auto& [kind, counted] : sample.counters.kinds) {
            page.line(of(sample) + ",operation=\"" + label(kind) + "\"", std::to_string(counted.count));
        }
    }
    page.family("plyfs_request_duration_seconds", "histogram", "From when a request was read to its answer.");
    for (const auto& sample : samples) {
        for (const auto& [kind, counted] : sample.counters.kinds) {
            const std::string labels = of(sample) + ",operation=\"" + label(kind) + "\"";
            std::uint64_t sum = 0;
            for (int i = 0; i + 1 < control::Latencies::kBuckets; ++i) {
                sum += counted.took.counts[static_cast<std::size_t>(i)];
                page.line(labels + ",le=\"" + seconds(control::Latencies::bound(i)) + "\"", std::to_string(sum),
                          "_bucket");
            }
            const std::string all = std::to_string(counted.timed());
            page.line(labels + ",le=\"+Inf\"", all, "_bucket");
            page.line(labels, seconds(counted.took.nanoseconds), "_sum");
            page.line(labels, all, "_count");
        }
    }
}

void add_opens(Page& page, const Samples& samples) {
    page.family("plyfs_opens_total", "counter", "Files opened, by who reads and writes them.");
    for (const auto& sample : samples) {
        for (const char* mode : {"passthrough", "cached", "direct"}) {
            page.line(of(sample) + ",mode=\"" + mode + "\"",
                      std::to_string(sample.counters.count(std::string("opens.") + mode)));
        }
    }
}

void add_counts(Page& page, const Samples& samples) {
    struct Row {
        const char* family;
        const char* count;
        const char* help;
    };
    constexpr Row kRows[] = {
        {"plyfs_copyups_total", "copyups", "Files and directories copied up."},
        {"plyfs_moves_total", "moves", "Files moved off full branches."},
        {"plyfs_failovers_total", "failovers", "Open files that went on with another copy after EIO."},
        {"plyfs_splits_total", "splits", "Files that old readers keep as they were."},
        {"plyfs_estale_total", "estale", "Opens sent to walk again."},
        {"plyfs_changes_heard_total", "changes.heard", "Changes on the branches that were heard of."},
        {"plyfs_changes_doubts_total", "changes.doubts", "Times that changes may have been missed."},
    };
    for (const Row& row : kRows) {
        page.family(row.family, "counter", row.help);
        for (const auto& sample : samples) page.line(of(sample), std::to_string(sample.counters.count(row.count)));
    }
}

void add_branches(Page& page, const Samples& samples) {
    struct Row {
        const char* family;
        const char* help;
        std::function<std::uint64_t(const Json&)> value;
        bool of_space = false;  // which nobody looks at where nothing can be written
    };
    const Row rows[] = {
        {"plyfs_branch_present", "Whether the branch is there.",
         [](const Json& b) { return b["present"].is_true() ? 1U : 0U; }},
        {"plyfs_branch_hangs", "Whether it has not answered for as long as branch-timeout says.",
         [](const Json& b) { return b["hangs_for"].real() > 0 ? 1U : 0U; }},
        {"plyfs_branch_available_bytes", "What users may still take.",
         [](const Json& b) { return b["available"].number(); }, true},
        {"plyfs_branch_size_bytes", "Size of the branch's file system.",
         [](const Json& b) { return b["total"].number(); }, true},
        {"plyfs_branch_reserve_bytes", "With less available it takes no new names.",
         [](const Json& b) { return b["reserve"].number(); }, true},
        {"plyfs_branch_passthrough_refused", "Whether the kernel refuses to serve its files itself.",
         [](const Json& b) { return b["passthrough"].text() == "no" ? 1U : 0U; }},
    };
    for (const Row& row : rows) {
        page.family(row.family, "gauge", row.help);
        for (const auto& sample : samples) {
            for (const Json& branch : sample.status["branches"].items()) {
                if (row.of_space && branch["total"].number() == 0) continue;
                page.line(of(sample) + ",branch=\"" + label(branch["path"].text()) + "\",mode=\"" +
                              label(branch["mode"].text()) + "\"",
                          std::to_string(row.value(branch)));
            }
        }
    }
}

void add_mounts(Page& page, const Samples& samples) {
    page.family("plyfs_mount_info", "gauge", "Always 1.");
    for (const auto& sample : samples) {
        const auto text = [&](const char* key) { return label(sample.status[key].text()); };
        page.line(of(sample) + ",kind=\"" + text("kind") + "\",transport=\"" + text("transport") + "\",coherence=\"" +
                      text("coherence") + "\",version=\"" + text("version") + "\"",
                  "1");
    }
    page.family("plyfs_nodes", "gauge", "Files and directories that the kernel knows.");
    for (const auto& sample : samples) page.line(of(sample), std::to_string(sample.status["nodes"].number()));
}

std::string page_of(const Samples& samples, std::size_t unanswered) {
    Page page;
    add_mounts(page, samples);
    add_branches(page, samples);
    add_opens(page, samples);
    add_requests(page, samples);
    add_counts(page, samples);
    page.family("plyfs_mounts_unanswered", "gauge", "Mounts that did not say how they are.");
    page.plain(std::to_string(unanswered));
    return page.text();
}

void add_sample(const Mount& mount, Samples& samples) {
    Json status = ask(mount, "status");
    std::string name = status["mountpoint"].text();
    samples.push_back({std::move(name), std::move(status), Counters::read(ask(mount, "counters"))});
}

// Whoever scrapes it wants to hear of the others also while one is gone.
std::string page_of_those_there(const std::vector<std::string>& arguments) {
    Samples samples;
    std::size_t unanswered = 0;
    const auto try_to = [&](const auto& act) {
        try {
            act();
        } catch (const Failure& failure) {
            log::debug("{}", failure.what());
            ++unanswered;
        }
    };
    std::vector<Mount> mounts;
    if (arguments.empty()) mounts = find_mounts();
    for (const auto& path : arguments) try_to([&] { mounts.push_back(mount_of(path)); });
    for (const Mount& mount : mounts) try_to([&] { add_sample(mount, samples); });
    return page_of(samples, unanswered);
}

}  // namespace

int run_metrics(const Words& words) {
    if (words.json)
        throw Failure("metrics are in the text format of Prometheus; --json goes with top", ExitCode::usage);
    if (!words.listen.empty()) {
        serve_page(words.listen, [&] { return page_of_those_there(words.arguments); });
        return 0;
    }
    Samples samples;
    for (const Mount& mount : mounts_named(words.arguments)) add_sample(mount, samples);
    print(page_of(samples, 0));
    return 0;
}

}  // namespace plyfs::ctl
