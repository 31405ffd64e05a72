# Makes packaging/bench's tables of its figures: lines of KIND SECTION ROW TARGET MICROSECONDS, one for each round, in order.
# Ends with 1 when a ratio is below what is promised for it, and says which on stderr.
BEGIN {
  FS = "\t"
  split("native layers pool hp overlayfs mergerfs fuse-overlayfs", kTargets, " ")
  kShown["hp"] = "passthrough_hp"
  # Speed over native: nothing of ours is on the way of the bytes.
  kAtLeast["read"] = kAtLeast["randread"] = kAtLeast["write"] = kAtLeast["randwrite"] = 0.95
  # Speed over passthrough_hp. The kernel answers a warm stat by itself for both, so that its ratio is 1 but for noise.
  kAtLeast["stat-cold"] = kAtLeast["open-close"] = kAtLeast["create-close"] = 1
  kAtLeast["stat-warm"] = 0.95
  # Speed over fuse-overlayfs.
  split("find create write+rename remove missing-64 find-64", kLayerRows, " ")
  for (n in kLayerRows) kAtLeast[kLayerRows[n]] = 3
  # Speed over overlayfs: fuse-overlayfs copies without seeing to it that a crash leaves no name without its content.
  kOfOverlayfs["chown"] = kOfOverlayfs["chown-metacopy"] = 1
  # Microseconds, whatever others take: while a file of half a GiB is copied up.
  kAtMost["stat-beside-copy"] = 10000
  # Times what it costs with the fewest branches.
  kMostGrowth["stat-warm"] = kMostGrowth["missing-name"] = 1.3
  kMostGrowth["create-close"] = 1.5
}

{
  table = $1 FS $2
  if (!(table in rows)) tables[++table_count] = table
  if (!((table, $3) in known)) { known[table, $3] = 1; row_of[table, ++rows[table]] = $3 }
  if (!((table, $4) in has)) target_of[table, ++targets[table]] = $4 + 0
  has[table, $4] = 1
  time[table, $3, $4, ++rounds[table, $3, $4]] = $5
}

function median(values, count,    i, j, held) {
  for (i = 2; i <= count; ++i) {
    held = values[i]
    for (j = i - 1; j >= 1 && values[j] > held; --j) values[j + 1] = values[j]
    values[j + 1] = held
  }
  return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

function median_time(table, row, target,    i, values, count) {
  count = rounds[table, row, target]
  for (i = 1; i <= count; ++i) values[i] = time[table, row, target, i]
  return median(values, count)
}

# How many times as fast as the reference.
function median_ratio(table, row, target, reference,    i, values, count) {
  count = rounds[table, row, target]
  for (i = 1; i <= count; ++i) values[i] = time[table, row, reference, i] / time[table, row, target, i]
  return median(values, count)
}

function promised(row, reference) {
  if (row in kOfOverlayfs) return reference == "overlayfs" ? kOfOverlayfs[row] : 0
  return (row in kAtLeast) && reference != "overlayfs" ? kAtLeast[row] : 0
}

function cell(table, row, target, reference,    ratio) {
  ratio = median_ratio(table, row, target, reference)
  if (row in kAtMost && reference != "overlayfs" && median_time(table, row, target) > kAtMost[row]) {
    printf "missed: %s, %s, %s: %.0f us, promised %d\n", title(table), row, target, median_time(table, row, target), kAtMost[row] > "/dev/stderr"
    missed = 1
    return sprintf(" **%.2f missed** |", ratio)
  }
  if (ratio < promised(row, reference)) {
    printf "missed: %s, %s, %s: %.3f of %s, promised %.2f\n", title(table), row, target, ratio, shown(reference), promised(row, reference) > "/dev/stderr"
    missed = 1
    return sprintf(" **%.2f missed** |", ratio)
  }
  return sprintf(" %.2f |", ratio)
}

function shown(target) { return target in kShown ? kShown[target] : target }
function title(table,    parts) {
  split(table, parts, FS)
  if (parts[1] == "measure_layers") return "layers over " (parts[2] == "devfuse" ? "/dev/fuse" : parts[2])
  return parts[1] == "measure_data" ? "4 KiB, psync" : "operations over " parts[2]
}

function print_table(table, reference,    i, t, row, line, rule, compare, kernel) {
  compare = (table, reference) in has
  kernel = reference == "fuse-overlayfs" && (table, "overlayfs") in has
  line = "| " title(table) ", us |"
  rule = "|---|"
  for (t = 1; t in kTargets; ++t) {
    if (!((table, kTargets[t]) in has)) continue
    line = line " " shown(kTargets[t]) " |"
    rule = rule "--:|"
  }
  if (compare) {
    line = line " layers : " shown(reference) " |"
    rule = rule "--:|--:|"
    if ((table, "pool") in has) {
      line = line " pool : " shown(reference) " |"
      rule = rule "--:|"
    }
    line = line " at least |"
  }
  if (kernel) {
    line = line " layers : overlayfs | at least |"
    rule = rule "--:|--:|"
  }
  printf "\n%s\n%s\n", line, rule
  for (i = 1; i <= rows[table]; ++i) {
    row = row_of[table, i]
    line = "| " row " |"
    for (t = 1; t in kTargets; ++t) {
      if ((table, kTargets[t]) in has) line = line sprintf(" %.2f |", median_time(table, row, kTargets[t]))
    }
    if (compare) {
      line = line cell(table, row, "layers", reference)
      if ((table, "pool") in has) line = line cell(table, row, "pool", reference)
      line = line (promised(row, reference) ? sprintf(" %.2f |", promised(row, reference)) : " |")
    }
    if (kernel) {
      line = line cell(table, row, "layers", "overlayfs")
      line = line (promised(row, "overlayfs") ? sprintf(" %.2f |", promised(row, "overlayfs")) : " |")
    }
    print line
  }
}

# One column for each number of branches, in the order of the first round.
function print_growth(table,    i, t, row, line, rule, first, last, growth) {
  line = "| a pool of so many branches, us |"
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
      printf "missed: %s: %.2f times with %s branches, promised %.1f\n", row, growth, last, kMostGrowth[row] > "/dev/stderr"
      missed = 1
      print line sprintf(" **%.2f missed** | %.1f |", growth, kMostGrowth[row])
    }
  }
}

END {
  for (n = 1; n <= table_count; ++n) {
    if (tables[n] ~ /^measure_branches/) {
      print_growth(tables[n])
      continue
    }
    reference = "hp"
    if (tables[n] ~ /^measure_data/) reference = "native"
    if (tables[n] ~ /^measure_layers/) reference = "fuse-overlayfs"
    print_table(tables[n], reference)
  }
  exit missed
}
