# Reads packaging/bench's figures, for table.awk and chart.awk: lines of KIND SECTION ROW TARGET TIME, one for each round,
# in order. A table is a KIND with a SECTION.
BEGIN { FS = "\t" }

{
  table = $1 FS $2
  if (!(table in rows)) tables[++table_count] = table
  if (!((table, $3) in known)) { known[table, $3] = 1; row_of[table, ++rows[table]] = $3 }
  if (!((table, $4) in has)) target_of[table, ++targets[table]] = $4
  has[table, $4] = 1
  time[table, $3, $4, ++rounds[table, $3, $4]] = $5
}

function kind_of(table,    parts) { split(table, parts, FS); return parts[1] }
function section_of(table,    parts) { split(table, parts, FS); return parts[2] }

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

# A reference is a target, or "peers": in each round the faster of those whose place we take.
function has_reference(table, row, reference) {
  if (reference != "peers") return rounds[table, row, reference] > 0
  return rounds[table, row, "mergerfs"] + rounds[table, row, "fuse-overlayfs"] > 0
}
function reference_time(table, row, reference, i,    pool, layers) {
  if (reference != "peers") return time[table, row, reference, i]
  pool = time[table, row, "mergerfs", i] + 0
  layers = time[table, row, "fuse-overlayfs", i] + 0
  return pool && (!layers || pool < layers) ? pool : layers
}

# How many times as fast as the reference.
function median_ratio(table, row, target, reference,    i, values, count) {
  count = rounds[table, row, target]
  for (i = 1; i <= count; ++i) values[i] = reference_time(table, row, reference, i) / time[table, row, target, i]
  return median(values, count)
}
