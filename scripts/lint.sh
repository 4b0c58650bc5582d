#!/usr/bin/env bash
# Checks formatting, vet, go mod tidy and staticcheck in every module, the house rules
# (internal/lint), and that every script explains its use on --help.
#
# usage: scripts/lint.sh

source "$(dirname "$0")/lib.bash"
cd "$root"

unformatted=$(git ls-files -co --exclude-standard '*.go' | while read -r file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done | xargs -0 gofmt -l)
[[ -z $unformatted ]] || die "not as gofmt writes it; run gofmt -w on: $unformatted"

# Every folder with a go.mod is a module of its own. staticcheck is of the version
# that scripts/tools pins, and staticcheck.conf says what it checks.
git ls-files -co --exclude-standard 'go.mod' '*/go.mod' | while read -r mod; do
	say "go vet, go mod tidy and staticcheck in $(dirname "$mod")"
	(cd "$(dirname "$mod")" && go vet ./... && go mod tidy -diff &&
		go tool -modfile="$root/scripts/tools/go.mod" staticcheck ./...)
done

say "go vet of files under build tags"
go vet -tags invariants ./internal/invariants
go vet -tags giouring ./uring

say "every script's --help"
for script in scripts/*.sh; do
	[[ $(awk '!/^#/ && NF { print; exit }' "$script") == 'source "$(dirname "$0")/lib.bash"' ]] ||
		die "$script: source lib.bash first, as the other scripts do: it answers --help"
	"$script" --help | grep -q "^usage: $script" || die "$script --help does not say 'usage: $script ...': write it into the header"
done

say "the house rules"
go test ./internal/lint/...
