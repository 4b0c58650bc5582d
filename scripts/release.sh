#!/usr/bin/env bash
# Makes a release in dist/: static binaries for Linux (amd64, arm64), and with the portable engine
# for other systems; their checksums; a list of what is in them (SBOM, CycloneDX); the manual
# page and the completions. Each binary is built twice, from two clones in two folders, and must
# have the same bytes: who checks out the commit with the same Go gets them too.
#
# usage: scripts/release.sh [-s] VERSION [GOOS/GOARCH...]
#
#   -s   short: linux/amd64 only, without an SBOM (for the gate)

source "$(dirname "$0")/lib.bash"
short=
if [[ ${1:-} == -s ]]; then
	short=1
	shift
fi
version=${1:-}
[[ $version =~ ^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || die "VERSION is \"$version\": give one such as 1.2.3 or 1.2.3-rc.1. $(usage)"
version=${version#v}
shift
targets=("$@")
if ((${#targets[@]} == 0)); then
	targets=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64 windows/amd64 windows/arm64)
	[[ -z $short ]] || targets=(linux/amd64)
fi
sbom=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
out=${OUT:-$root/dist}

# What is released is a commit, and nothing beside it.
git -C "$root" diff --quiet HEAD || die "there are changes that are not committed: commit or undo them"
commit=$(git -C "$root" rev-parse HEAD)
for clone in one another/place; do
	git clone -q --no-local "$(git -C "$root" rev-parse --path-format=absolute --git-common-dir)" "$scratch/$clone" --no-checkout
	git -C "$scratch/$clone" checkout -q --detach "$commit"
done

# build CLONE FILE
build() {
	(cd "$scratch/$1" && GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 GOFLAGS='' GOAMD64=v1 GOARM64=v8.0 \
		go build -trimpath -buildvcs=true -ldflags "-s -w -buildid= -X main.release=$version" -o "$2" ./cmd/kring)
}

rm -rf "$out"
mkdir -p "$out"
for target in "${targets[@]}"; do
	file=kring-${target/\//-}
	[[ $target != windows/* ]] || file+=.exe
	build one "$out/$file"
	build another/place "$scratch/again"
	cmp "$out/$file" "$scratch/again" || die "$target: two builds of one commit differ"
	[[ -n $short ]] || GOFLAGS='' go run "$sbom" bin -json -noserial -output "$scratch/sbom.json" "$out/$file" >"$scratch/log" 2>&1 ||
		die "$(cat "$scratch/log")"
	# The time of the making says nothing, and differs each time.
	[[ -n $short ]] || sed '/"timestamp":/d' "$scratch/sbom.json" >"$out/$file.cdx.json"
	say "$file: $(stat -c %s "$out/$file") bytes"
done

# This machine's own binary says what it is, and makes the rest.
GOOS='' GOARCH='' target=$(go env GOHOSTOS)/$(go env GOHOSTARCH)
kring=$out/kring-${target/\//-}
if [[ -x $kring ]]; then
	said=$("$kring" version)
	[[ $said == "kring $version ${commit:0:12} "* ]] || die "kring version says \"$said\""
	! readelf -l "$kring" 2>/dev/null | grep -q INTERP || die "$kring is not static"
	"$kring" man >"$out/kring.1"
	for shell in bash zsh fish; do "$kring" completion "$shell" >"$out/kring.$shell"; done
	say "$said"
fi
(cd "$out" && sha256sum -- * >SHA256SUMS && sha256sum -c --quiet SHA256SUMS)
say "$out: $(wc -l <"$out/SHA256SUMS") files, built twice with the same bytes"
