#!/usr/bin/env bash
# Loads the dashboard of deploy/ for real: kring under load, a Prometheus that scrapes it, and
# every expression of every panel evaluated by that; none may be empty, but for those that say
# so by "> 0". It is not in the gate: Prometheus comes as a Debian package, which is unpacked and
# not installed.
#
# usage: scripts/dashboards.sh [SECONDS]     (of load, 40)
#
#   PROMETHEUS   a prometheus to use instead
#   EVAL         a file for the figures of every expression (JSON lines)

source "$(dirname "$0")/lib.bash"
seconds=${1:-40}
prometheus=${PROMETHEUS:-}
if [[ -z $prometheus ]]; then
	(cd "$scratch" && apt-get download prometheus >/dev/null 2>&1 && dpkg-deb -x prometheus_*.deb prometheus) ||
		die "no prometheus: name one by PROMETHEUS=, or run this where Debian packages can be had"
	prometheus=$scratch/prometheus/usr/bin/prometheus
fi
build_kring
build_load

pids=()
end_others() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	((${#pids[@]} == 0)) || wait "${pids[@]}" 2>/dev/null || true
}

# The ports that are taken are in the log and in the answer.
start_kring auto --http 127.0.0.1:0 --quota client-id=*,produce-bytes=1e12,fetch-bytes=1e12
door=$(sed -n 's/.*msg=http address=\(.*\)/\1/p' "$scratch/kring.log")
[[ -n $door ]] || die "kring has no side door"
sed "s/scrape_interval: .*/scrape_interval: 1s/; s/targets: .*/targets: [\"$door\"]/" "$root/deploy/prometheus.yml" >"$scratch/prometheus.yml"
port=$((20000 + RANDOM % 10000))
"$prometheus" --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/tsdb" --web.listen-address="127.0.0.1:$port" >"$scratch/prometheus.log" 2>&1 &
pids+=($!)
"$load" -bootstrap "$kring_addr" -busy 8 -idle 16 >"$scratch/load.log" 2>&1 &
pids+=($!)
say "kring at $kring_addr, Prometheus at 127.0.0.1:$port, $seconds s of load"
sleep "$seconds"

python3 - "$root/deploy/grafana/dashboards/kring.json" "http://127.0.0.1:$port" "${EVAL:-/dev/null}" <<'EOF' || die "expressions are empty or wrong; $(tail -n 3 "$scratch/prometheus.log")"
import json, sys, urllib.parse, urllib.request
board, url, out = json.load(open(sys.argv[1])), sys.argv[2], open(sys.argv[3], "w")
def ask(expr):
    query = urllib.parse.urlencode({"query": expr})
    try:
        return json.load(urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=20))["data"]["result"]
    except urllib.error.HTTPError as e:
        return json.load(e)["error"]
asked = wrong = 0
for panel in board["panels"]:
    for target in panel.get("targets", []):
        expr = target["expr"].replace("$__rate_interval", "20s").replace("$instance", ".*")
        found, asked = ask(expr), asked + 1
        may_be_empty = expr.endswith("> 0")
        if isinstance(found, str) or not found and not may_be_empty:
            wrong += 1
            print(f"{panel['title']}: {expr}: {found or 'nothing'}", file=sys.stderr)
        out.write(json.dumps({"panel": panel["title"], "expr": expr, "series": len(found), "first": found[:1]}) + "\n")
print(f"dashboards: {asked} expressions, {wrong} of them wrong or empty")
sys.exit(wrong > 0)
EOF
