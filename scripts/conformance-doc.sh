#!/usr/bin/env bash
# Writes docs/CONFORMANCE.md from the rows of internal/conformance/rows.txt and the
# tests that name them. It fails if a row has neither a test nor a reason.
#
# usage: scripts/conformance-doc.sh [--check]    (--check: write nothing, compare)

source "$(dirname "$0")/lib.bash"
cd "$root"
go run ./internal/conformance ${1:+-check}
