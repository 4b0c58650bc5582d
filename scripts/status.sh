#!/usr/bin/env bash
# Checks the status page of a running server in headless Chromium, under load: light and
# dark, 1280 and 360 pixels wide. It fails if the page is wider than the screen, a table or
# chart is empty, a text has too little contrast, a client id becomes markup, something is
# loaded from elsewhere, or the page does not notice that the server hangs or is gone.
#
# usage: scripts/status.sh [-o FOLDER]   (-o: keep screenshots)

source "$(dirname "$0")/lib.bash"
cd "$root"

folder=
[[ ${1:-} != -o ]] || { folder=$2 && mkdir -p "$folder"; }
need chromium chromium
build_kring

start_kring auto --handler null --http 127.0.0.1:0
http=$(sed -n 's/.*msg=http address=\([^ ]*\).*/\1/p' "$scratch/kring.log")
python3 scripts/status/look.py "http://$http/" "$kring_addr" "$kring_pid" ${folder:+"$folder"} || die "the status page does not do"
{ wait "$kring_pid" || true; } 2>/dev/null # look.py has ended it
kring_pid=
say "the status page is good"
