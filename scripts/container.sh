#!/usr/bin/env bash
# Runs what deploy/Containerfile makes, as deploy/compose.yaml has it run, without a daemon: its
# files in a root that is read-only, as user 65532, without capabilities, under the seccomp
# profile, by runc. A client must be served on io_uring, the health check be healthy, the data be
# there after a restart, and nothing be writable but /data. Without io_uring's calls in the profile
# epoll must serve. It is not in the gate: it needs root, and a machine on which runc works.
#
# usage: scripts/container.sh

source "$(dirname "$0")/lib.bash"
cd "$root"
((EUID == 0)) || die "runc needs root here: run this as root"
need runc runc
need kcat kcat

box=$scratch/box
mkdir -p "$box/rootfs/data" "$scratch/data"
CGO_ENABLED=0 go build -trimpath -o "$box/rootfs/kring" ./cmd/kring
chown 65532:65532 "$scratch/data"
chmod 700 "$scratch/data"
[[ $(grep -c '^COPY' deploy/Containerfile) == 2 ]] || die "deploy/Containerfile copies something else: change this script too"

# config [PYTHON] writes the settings of the container; PYTHON changes the profile s.
config() {
	python3 - "$box/config.json" "$scratch/data" "${1:-}" <<'PY'
import json, re, subprocess, sys
file = open("deploy/Containerfile").read()
s = json.load(open("deploy/seccomp.json"))
exec(sys.argv[3])
for call in s["syscalls"]:
    call.pop("comment", None)  # which only profiles of Docker have
uid, gid = map(int, re.search(r"(?m)^USER (\d+):(\d+)$", file).groups())
words = lambda name: json.loads(re.search(rf"(?m)^{name} (\[.*\])$", file).group(1))
# The ports are taken ones: what is on the network of this machine must be free.
env = re.search(r"(?m)^ENV (.*)$", file).group(1).replace("0.0.0.0:9092", "127.0.0.1:0").replace("0.0.0.0:9644", "127.0.0.1:0").split()
none = {"bounding": [], "effective": [], "permitted": []}
mount = lambda to, kind, source, *options: {"destination": to, "type": kind, "source": source, "options": list(options)}
json.dump({
    "ociVersion": "1.0.2",
    "process": {"user": {"uid": uid, "gid": gid}, "args": words("ENTRYPOINT") + words("CMD"), "env": env, "cwd": "/", "capabilities": none, "noNewPrivileges": True},
    "root": {"path": "rootfs", "readonly": True},
    "mounts": [mount("/proc", "proc", "proc"), mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
               mount("/data", "bind", sys.argv[2], "bind", "rw", "nosuid", "nodev", "noexec")],
    "linux": {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount")], "seccomp": s,
              "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"], "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]},
}, open(sys.argv[1], "w"))
PY
}

run() { runc --root "$scratch/runc" "$@"; }
id=kring-$$
end_others() { run kill "$id" KILL >/dev/null 2>&1 || true; }

# up waits until it is ready, on an engine.
up() {
	: >"$scratch/out"
	(cd "$box" && run run "$id") >"$scratch/out" 2>"$scratch/kring.log" &
	runner=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q 'ready on' "$scratch/out" || break
		kill -0 "$runner" 2>/dev/null || die "the container has ended: $(tail -n 5 "$scratch/kring.log")"
		sleep 0.1
	done
	address=$(sed -n 's/.*ready on \([^ ]*\) .*/\1/p' "$scratch/out")
	grep -q " · $1 " "$scratch/out" || die "it is not on $1: $(cat "$scratch/out")"
}

down() {
	run kill "$id" TERM
	wait "$runner" || die "it ends with $?: $(tail -n 5 "$scratch/kring.log")"
}

config
up io_uring
pid=$(run state "$id" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
for want in 'Uid:	65532	65532	65532	65532' 'CapEff:	0000000000000000' 'CapBnd:	0000000000000000' 'NoNewPrivs:	1' 'Seccomp:	2'; do
	grep -qxF "$want" "/proc/$pid/status" || die "/proc/$pid/status has no \"$want\": $(grep -E '^(Uid|Cap|NoNew|Seccomp)' "/proc/$pid/status")"
done
grep -Eq '^[^ ]+ / [^ ]+ ro[, ]' "/proc/$pid/mounts" || die "its root can be written: $(cat "/proc/$pid/mounts")"
printf 'one\ntwo\nthree\n' | kcat -b "$address" -t orders -P
[[ $(kcat -b "$address" -t orders -C -e -q | sort | tr '\n' ' ') == 'one three two ' ]] || die "a client does not get what it has sent"
door=$(sed -n 's/.*msg=http address=\(.*\)/\1/p' "$scratch/kring.log")
run exec --env "KRING_HTTP=$door" "$id" /kring ready >/dev/null || die "the health check is not healthy"
down
up io_uring
[[ $(kcat -b "$address" -t orders -C -e -q | wc -l) == 3 ]] || die "what was acknowledged is gone after a restart"
down
say "io_uring: a client is served, as user 65532, read-only, without capabilities, under the profile"

config 's["syscalls"] = [c | {"names": [n for n in c["names"] if not n.startswith("io_uring")]} for c in s["syscalls"] if any(not n.startswith("io_uring") for n in c["names"])]'
up epoll
[[ $(kcat -b "$address" -t orders -C -e -q | wc -l) == 3 ]] || die "without io_uring a client is not served"
down
say "without io_uring in the profile: epoll serves"
