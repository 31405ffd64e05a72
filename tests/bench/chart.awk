# Makes an SVG bar chart of packaging/bench's figures (figures.awk): the speed of each target in each row, of native, or of
# overlayfs where native was not measured. A bar ends at kMost times that speed; the number beside it tells the rest.
BEGIN {
  split("layers pool overlayfs mergerfs fuse-overlayfs hp", kBars, " ")
  split("#1b6ca8 #3fa34d #8a8a8a #d98324 #b23a48 #6b4e9b", kColours, " ")
  kShown["hp"] = "passthrough_hp"
  kMost = 1.5
  kUnit = 360 # pixels of a bar as fast as the reference
  kLeft = 160
  kBar = 11
}

function text(x, y, size, anchor, words) {
  gsub(/&/, "\\&amp;", words)
  body = body sprintf("<text x=\"%d\" y=\"%d\" font-size=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, size, anchor, words)
}

function box(x, y, width, height, colour) {
  body = body sprintf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", x, y, width, height, colour)
}

# The number stands behind the bar, but not on the line that marks the reference.
function draw_bar(ratio, colour,    width, at) {
  width = kUnit * (ratio < kMost ? ratio : kMost)
  at = width > kUnit - 28 && width < kUnit ? kUnit : width
  box(kLeft, y, width, kBar - 2, colour)
  text(kLeft + at + 4, y + kBar - 3, 9, "start", sprintf("%.2f", ratio))
  y += kBar
}

function draw_row(table, row, reference,    t, top) {
  top = y
  for (t = 1; t in kBars; ++t) {
    if (!rounds[table, row, kBars[t]] || kBars[t] == reference) continue
    draw_bar(median_ratio(table, row, kBars[t], reference), kColours[t])
  }
  text(kLeft - 6, top + (y - top) / 2 + 4, 11, "end", row)
  y += 6
}

function draw_table(table,    i, reference, top) {
  reference = (table, "native") in has ? "native" : "overlayfs"
  if (!((table, reference) in has)) return
  y += 22
  text(kLeft, y, 14, "start", kind_of(table) " over " (section_of(table) == "devfuse" ? "/dev/fuse" : section_of(table)) ", speed of " reference)
  y += 8
  top = y
  for (i = 1; i <= rows[table]; ++i) draw_row(table, row_of[table, i], reference)
  box(kLeft + kUnit, top, 1, y - top, "#000000")
}

function draw_legend(    t, x, n, seen) {
  x = 10
  for (t = 1; t in kBars; ++t) {
    seen = 0
    for (n = 1; n <= table_count; ++n) if ((tables[n], kBars[t]) in has) seen = 1
    if (!seen) continue
    box(x, 8, 10, 10, kColours[t])
    text(x + 14, 17, 11, "start", kBars[t] in kShown ? kShown[kBars[t]] : kBars[t])
    x += 110
  }
  y = 20
}

END {
  draw_legend()
  for (n = 1; n <= table_count; ++n) if (kind_of(tables[n]) != "growth") draw_table(tables[n])
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n", kLeft + kUnit * kMost + 60, y + 10
  printf "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n%s</svg>\n", body
}
