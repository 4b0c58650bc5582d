#!/usr/bin/env bash
# Formatting, vet and the house rules (internal/lint), over every module.
#
# usage: scripts/lint.sh

source "$(dirname "$0")/lib.bash"
cd "$root"

unformatted=$(git ls-files -co --exclude-standard '*.go' | while read -r file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done | xargs -0 gofmt -l)
[[ -z $unformatted ]] || die "not as gofmt writes it; run gofmt -w on: $unformatted"

# Every folder with a go.mod is a module of its own.
git ls-files -co --exclude-standard 'go.mod' '*/go.mod' | while read -r mod; do
	say "go vet and go mod tidy in $(dirname "$mod")"
	(cd "$(dirname "$mod")" && go vet ./... && go mod tidy -diff)
done
say "the house rules"
go test ./internal/lint/...
