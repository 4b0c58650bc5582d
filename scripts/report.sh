#!/usr/bin/env bash
# Checks the benchmark's report in a real browser: headless Chromium, light and dark,
# desktop and phone. It fails if the page is wider than the screen, a chart is empty, a
# text has too little contrast, or the page loads anything. It looks at README's pictures
# in the same way: the chart, drawn from these results and as it is, and the flow.
#
# usage: scripts/report.sh [RESULTS.jsonl]   (default: a short run of its own)

source "$(dirname "$0")/lib.bash"
cd "$root"

need chromium chromium
work=$scratch

if (($# == 0)); then
	go run ./bench ablate --quick --dispatch inline --only '*receive*' --only 'wake*' \
		--scenario 64x1,curve-50,curve-95 --out "$work" >"$work/run.log" 2>&1 || die "the run failed: $(tail -n 3 "$work/run.log")"
	set -- "$work"/*.jsonl
fi
cp "$1" "$work/report.jsonl"
go run ./bench report "$work/report.jsonl" >/dev/null

# The page itself has no script. A copy gets one that looks at it and leaves
# what it found in an element for us to read.
check=$(
	cat <<'JS'
<script>
addEventListener("load", () => {
  const faults = [];
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push("wider than the screen: " + document.documentElement.scrollWidth + " of " + width);
  const lum = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$|transparent/.test(c)) return c; } return "rgb(255,255,255)"; };
  for (const e of document.querySelectorAll("p, dt, dd, td, th, h1, h2, h3, .names span, svg text")) {
    if (!e.textContent.trim()) continue;
    const style = getComputedStyle(e), a = lum(e.tagName === "text" ? style.fill : style.color), b = lum(ground(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) { faults.push("contrast " + contrast.toFixed(1) + ": " + e.textContent.trim().slice(0, 40)); break; }
  }
  const charts = [...document.querySelectorAll("svg")];
  for (const s of charts) {
    if (!s.querySelector("polyline") || s.getBoundingClientRect().width < 200) faults.push("empty chart: " + s.getAttribute("aria-label"));
    for (const t of s.querySelectorAll("text")) {
      const r = t.getBoundingClientRect(), o = s.getBoundingClientRect();
      if (r.right > o.right + 1 || r.left < o.left - 1) { faults.push("text outside its chart: " + t.textContent); break; }
    }
  }
  if (charts.length < 3) faults.push("only " + charts.length + " charts");
  for (const b of document.querySelectorAll(".fill")) if (b.getBoundingClientRect().width < 1) faults.push("a bar without length");
  if (!document.querySelector("td.n")) faults.push("no heat map");
  if (performance.getEntriesByType("resource").length) faults.push("something was loaded");
  const out = document.createElement("output");
  out.id = "verdict";
  out.textContent = "VERDICT " + width + " " + (dark ? "dark" : "light") + " " + (faults.length ? faults.join("; ") : "good");
  document.body.append(out);
});
</script>
JS
)
python3 - "$work/report.html" "$work/checked.html" "$check" <<'PY'
import sys
page = open(sys.argv[1]).read()
open(sys.argv[2], "w").write(page.replace("</head>", sys.argv[3] + "</head>"))
PY

# look WIDTH SCHEME(0 dark, 1 light): Chromium has a least window width, so a
# phone is a frame in a page.
look() {
	cat >"$work/frame.html" <<HTML
<!DOCTYPE html><title>frame</title><body style="margin:0"><iframe src="checked.html" style="border:0;width:$1px;height:3000px"></iframe>
<script>addEventListener("load", () => document.title = frames[0].document.getElementById("verdict").textContent)</script>
HTML
	timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync --allow-file-access-from-files \
		--user-data-dir="$work/profile" --blink-settings=preferredColorScheme="$2" --window-size=1400,3000 \
		--virtual-time-budget=3000 --dump-dom "file://$work/frame.html" 2>/dev/null | grep -o '<title>VERDICT[^<]*' | sed 's/<title>VERDICT //'
}

bad=0
for width in 1280 375; do
	for scheme in 1 0; do
		verdict=$(look "$width" "$scheme") || verdict="$width: the browser said nothing"
		say "$verdict"
		want=$([[ $scheme == 1 ]] && echo light || echo dark)
		[[ $verdict == *" $want good" ]] || bad=1
	done
done
# README's pictures, each as a page of its own.
go build -o "$work/bench" ./bench
printf '<!-- bench overview x -->\n<!-- end of overview -->\n' >"$work/page.md"
"$work/bench" overview "$work/report.jsonl" --into "$work/page.md" --chart fresh
look_at() { # look_at FILE.svg SCHEME
	python3 - "$1" "$work/checked.html" <<'PY'
import sys
script = """<script>
addEventListener("load", () => {
  const faults = [], svg = document.querySelector("svg"), all = svg.getBoundingClientRect();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const lum = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const rects = [...svg.querySelectorAll("rect.ground, rect.box, rect.track")];
  for (const t of svg.querySelectorAll("text")) {
    const r = t.getBoundingClientRect();
    if (r.left < all.left || r.right > all.right || r.bottom > all.bottom) faults.push("outside: " + t.textContent);
    let ground;
    for (const e of rects) {
      const o = e.getBoundingClientRect(), inside = r.left >= o.left && r.right <= o.right && r.top >= o.top - 2 && r.bottom <= o.bottom + 2;
      if (inside) ground = getComputedStyle(e).fill;
      else if (r.left < o.right && o.left < r.right && r.top + 2 < o.bottom && o.top < r.bottom - 2) faults.push("over an edge: " + t.textContent);
    }
    if (!ground) { faults.push("no ground: " + t.textContent); continue; }
    const a = lum(getComputedStyle(t).fill), b = lum(ground);
    if ((Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5) faults.push("contrast: " + t.textContent);
  }
  const out = document.createElement("output");
  out.id = "verdict";
  out.textContent = "VERDICT " + (dark ? "dark" : "light") + " " + (faults.slice(0, 5).join("; ") || "good");
  document.body.append(out);
});
</script>"""
open(sys.argv[2], "w").write("<!DOCTYPE html><head>" + script + "</head><body style='margin:0'>" + open(sys.argv[1]).read())
PY
	look 1280 "$2"
}
for file in bench/overview.svg bench/overview-narrow.svg docs/flow.svg "$work"/fresh/overview*.svg; do
	for scheme in 1 0; do
		verdict=$(look_at "$file" "$scheme") || verdict="the browser said nothing"
		say "$(basename "$file"): $verdict"
		want=$([[ $scheme == 1 ]] && echo light || echo dark)
		[[ $verdict == "$want good" ]] || bad=1
	done
done
((bad == 0)) || die "the report does not look right"
