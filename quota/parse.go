package quota

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ParseLimits reads limits as an operator writes them: whom they are for and
// what each is, separated by commas, as in
//
//	client-id=batch,produce-bytes=1MB,requests=200
//	user=*,client-id=*,fetch-bytes=512KiB
//	ip=192.0.2.7,handler-percent=50
//
// Bytes take the units kB, MB, GB, KiB, MiB and GiB. The error names every fault.
func ParseLimits(text string) ([]Limit, error) {
	var whom Entity
	var limits []Limit
	var faults []error
	for field := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok || value == "" {
			faults = append(faults, fmt.Errorf("%q: give NAME=VALUE, such as client-id=batch or produce-bytes=1MB", field))
			continue
		}
		if part := whom.partNamed(name); part != nil {
			*part = value
			continue
		}
		kind, known := kindOf(name)
		per, err := parseNumber(value, kind)
		switch {
		case !known:
			faults = append(faults, fmt.Errorf("%q is none of user, client-id, ip, %s", name, strings.Join(kindNames[:], ", ")))
		case err != nil:
			faults = append(faults, fmt.Errorf("%s=%s: %w", name, value, err))
		default:
			limits = append(limits, Limit{Kind: kind, PerSecond: per})
		}
	}
	if len(limits) == 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%q limits nothing: add one of %s", text, strings.Join(kindNames[:], ", ")))
	}
	for i := range limits {
		limits[i].Entity = whom
		faults = append(faults, limits[i].Validate())
	}
	return limits, errors.Join(faults...)
}

// ReadLimits reads limits line by line, in ParseLimits' format. Empty lines and what
// follows a # are skipped. The error names every fault with its line.
func ReadLimits(r io.Reader) ([]Limit, error) {
	var limits []Limit
	var faults []error
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		more, err := ParseLimits(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
		}
		limits = append(limits, more...)
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("line %d: %w", n+1, err))
	}
	return limits, errors.Join(faults...)
}

func (e *Entity) partNamed(name string) *string {
	switch name {
	case "user":
		return &e.User
	case "client-id":
		return &e.ClientID
	case "ip":
		return &e.IP
	}
	return nil
}

func kindOf(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

var byteUnits = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

func parseNumber(text string, k Kind) (float64, error) {
	unit := 1.0
	if k == BytesIn || k == BytesOut {
		for _, u := range byteUnits {
			if number, ok := strings.CutSuffix(text, u.name); ok {
				text, unit = number, u.bytes
				break
			}
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, errors.New("not a number, such as 200 or (for bytes) 1MB")
	}
	return n * unit, nil
}
