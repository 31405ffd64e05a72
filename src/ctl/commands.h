// What the commands of plyctl do; each returns the exit code, and throws Failure.
#pragma once

namespace plyfs::ctl {

struct Words;

int run_list(const Words& words);
int run_status(const Words& words);
int run_top(const Words& words);
int run_explain(const Words& words);
int run_get(const Words& words);
int run_set(const Words& words);
int run_reload(const Words& words);
int run_branch_mode(const Words& words);
int run_branch_add(const Words& words);
int run_branch_remove(const Words& words);
int run_upgrade(const Words& words);
int run_drain(const Words& words);
int run_balance(const Words& words);
int run_dup(const Words& words);
int run_dedup(const Words& words);
int run_fsck(const Words& words);
int run_diff(const Words& words);
int run_commit(const Words& words);
int run_import(const Words& words);
int run_metrics(const Words& words);
int run_config_check(const Words& words);

}  // namespace plyfs::ctl
