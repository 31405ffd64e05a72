# Makes packaging/bench's tables of its figures (figures.awk). Ends with 1 when a ratio is below what is promised for it,
# and says which on stderr.
BEGIN {
  split("native layers pool hp overlayfs mergerfs fuse-overlayfs", kTargets, " ")
  kShown["hp"] = "passthrough_hp"
  kShown["peers"] = "the better of mergerfs and fuse-overlayfs"
  # With whom the rows of a kind are compared.
  kReferences["data"] = kReferences["jobs"] = kReferences["copyup"] = "native"
  kReferences["operations"] = "hp peers"
  kReferences["layers"] = "fuse-overlayfs overlayfs"

  # Nothing of ours is on the way of the bytes.
  kEveryRow = "*"
  promise("data", "native", 0.95, kEveryRow)
  promise("operations", "hp", 1, "stat-cold open-close create-close")
  promise("operations", "peers", 3, "stat-cold missing-name open-close open-read4k-close create-close unlink mkdir rename readdir-stat chmod append")
  # The kernel answers by itself for all, so that the ratio is 1 but for noise.
  promise("operations", "hp", 0.95, "stat-warm")
  promise("jobs", "native", 0.95, "compile")
  promise("jobs", "native", 0.5, "untar git-add git-commit git-status cp-a rm")
  promise("jobs", "native", 0.8, "find du grep ls-l")
  promise("copyup", "native", 0.87, "1-GiB")
  promise("layers", "fuse-overlayfs", 3, "find create write+rename remove missing-64 find-64")
  # Of the kernel: fuse-overlayfs copies without seeing to it that a crash leaves no name without its content.
  promise("layers", "overlayfs", 1, "chown chown-metacopy")

  # Microseconds, whatever others take: while a file of half a GiB is copied up.
  kAtMost["stat-beside-copy"] = 10000

  # Times what it costs with the fewest.
  kMostGrowth["stat-warm"] = kMostGrowth["missing-name"] = 1.3
  kMostGrowth["create-close"] = 1.5
  kGrows["branches"] = "a pool of so many branches"
  kGrows["lowers"] = "so many layers"
  kGrows["files"] = "so many files"
}

function promise(kind, reference, ratio, rows,    n, i, row) {
  n = split(rows, row, " ")
  for (i = 1; i <= n; ++i) kAtLeast[kind, reference, row[i]] = ratio
}

function promised(table, reference, row) {
  if ((kind_of(table), reference, row) in kAtLeast) return kAtLeast[kind_of(table), reference, row]
  return kAtLeast[kind_of(table), reference, kEveryRow] + 0
}

function shown(target) { return target in kShown ? kShown[target] : target }

function title(table,    transport) {
  transport = section_of(table) == "devfuse" ? "/dev/fuse" : section_of(table)
  if (kind_of(table) == "jobs") return "whole jobs over " transport ", ms"
  if (kind_of(table) == "copyup") return "copy-up on " section_of(table) ", ms"
  return kind_of(table) " over " transport ", us"
}

function cell(table, row, target, reference,    ratio) {
  if (!rounds[table, row, target] || !has_reference(table, row, reference)) return " |"
  ratio = median_ratio(table, row, target, reference)
  if (ratio < promised(table, reference, row)) {
    printf "missed: %s, %s, %s: %.3f of %s, promised %.2f\n", title(table), row, target, ratio, shown(reference),
      promised(table, reference, row) > "/dev/stderr"
    missed = 1
    return sprintf(" **%.2f missed** |", ratio)
  }
  return sprintf(" %.2f |", ratio)
}

# Of ours a time may have a bound of its own.
function time_cell(table, row, target,    took) {
  if (!rounds[table, row, target]) return " |"
  took = median_time(table, row, target)
  if ((target != "layers" && target != "pool") || !(row in kAtMost) || took <= kAtMost[row]) return sprintf(" %.2f |", took)
  printf "missed: %s, %s, %s: %.0f, promised %d at most\n", title(table), row, target, took, kAtMost[row] > "/dev/stderr"
  missed = 1
  return sprintf(" **%.2f missed** |", took)
}

# What a row's ratios are, and what they should be, for each reference that was measured.
function compare(table, row, references, count,    i, line) {
  line = ""
  for (i = 1; i <= count; ++i) {
    line = line cell(table, row, "layers", references[i])
    if ((table, "pool") in has) line = line cell(table, row, "pool", references[i])
    line = line (promised(table, references[i], row) ? sprintf(" %.2f |", promised(table, references[i], row)) : " |")
  }
  return line
}

function head(table, references, count,    i, t, line, rule) {
  line = "| " title(table) " |"
  rule = "|---|"
  for (t = 1; t in kTargets; ++t) {
    if (!((table, kTargets[t]) in has)) continue
    line = line " " shown(kTargets[t]) " |"
    rule = rule "--:|"
  }
  for (i = 1; i <= count; ++i) {
    line = line " layers : " shown(references[i]) " |"
    rule = rule "--:|--:|"
    if ((table, "pool") in has) {
      line = line " pool : " shown(references[i]) " |"
      rule = rule "--:|"
    }
    line = line " at least |"
  }
  return line "\n" rule
}

function print_table(table,    i, t, row, line, named, references, count) {
  split(kReferences[kind_of(table)], named, " ")
  for (i = 1; i in named; ++i) if (has_reference(table, row_of[table, 1], named[i])) references[++count] = named[i]
  printf "\n%s\n", head(table, references, count)
  for (i = 1; i <= rows[table]; ++i) {
    row = row_of[table, i]
    line = "| " row " |"
    for (t = 1; t in kTargets; ++t) {
      if (!((table, kTargets[t]) in has)) continue
      line = line time_cell(table, row, kTargets[t])
    }
    print line compare(table, row, references, count)
  }
}

# One column for each number, in the order of the first round.
function print_growth(table,    i, t, row, line, rule, first, last, growth) {
  line = "| " kGrows[section_of(table)] ", us |"
  rule = "|---|"
  for (t = 1; t <= targets[table]; ++t) {
    line = line " " target_of[table, t] " |"
    rule = rule "--:|"
  }
  first = target_of[table, 1]
  last = target_of[table, targets[table]]
  printf "\n%s %s : %s | at most |\n%s--:|--:|\n", line, last, first, rule
  for (i = 1; i <= rows[table]; ++i) {
    row = row_of[table, i]
    line = "| " row " |"
    for (t = 1; t <= targets[table]; ++t) line = line sprintf(" %.2f |", median_time(table, row, target_of[table, t]))
    growth = median_ratio(table, row, first, last)
    if (!(row in kMostGrowth)) {
      print line sprintf(" %.2f | |", growth)
    } else if (growth <= kMostGrowth[row]) {
      print line sprintf(" %.2f | %.1f |", growth, kMostGrowth[row])
    } else {
      printf "missed: %s: %.2f times with %s: %s, promised %.1f\n", row, growth, kGrows[section_of(table)], last,
        kMostGrowth[row] > "/dev/stderr"
      missed = 1
      print line sprintf(" **%.2f missed** | %.1f |", growth, kMostGrowth[row])
    }
  }
}

END {
  for (n = 1; n <= table_count; ++n) {
    if (kind_of(tables[n]) == "growth") print_growth(tables[n])
    else print_table(tables[n])
  }
  exit missed
}
