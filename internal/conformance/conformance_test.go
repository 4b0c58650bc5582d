package main

import (
	"slices"
	"strings"
	"testing"

	"kring/internal/lint"
)

const source = `package a

import "testing"

func property(t *testing.T) { servertest.EachEngine(t, nil) }

// Words before.
//
// Kafka: SS-01, SE-02 (in part, and so on),
// RequestHeaderTest, F-12.
func TestOnAll(t *testing.T) { property(t) }

// Kafka: SS-02.
func TestOnFaults(t *testing.T) { newStage(t).run() }

func newStage(t *testing.T) *stage { faultengine.New(1); return nil }

// Kafka: SS-03.
func TestAlone(t *testing.T) {}

// Kafka is named here, but no row.
func TestWithout(t *testing.T) {}
`

func TestATestIsFoundWithItsRowsAndItsEngines(t *testing.T) {
	tree := &lint.Tree{}
	if err := tree.Add("somewhere/a_test.go", []byte(source)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range collect(tree) {
		got = append(got, x.name+": "+strings.Join(x.ids, " ")+": "+x.runsOn)
	}
	want := []string{
		"TestAlone: SS-03: the part alone",
		"TestOnAll: SS-01 SE-02 RequestHeaderTest F-12: " + everyEngine,
		"TestOnFaults: SS-02: the fault engine",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

func TestARowNeedsATestOrAReasonAndNotBoth(t *testing.T) {
	const rows = "## A\nSS-01 | x | y\nSS-02 | x | y | because\nSS-03 | x | y\nSS-04 | x | y | because\n"
	sections, err := parseRows(rows)
	if err != nil {
		t.Fatal(err)
	}
	faults := assign(sections, []test{{name: "T", ids: []string{"SS-01", "SS-02", "SS-99", "F-1"}, runsOn: everyEngine}})
	var text string
	for _, f := range faults {
		text += f.Error() + "\n"
	}
	for _, want := range []string{"names SS-99", "without a test: SS-03:", "with a test and a reason why none applies: SS-02:"} {
		if !strings.Contains(text, want) {
			t.Errorf("the faults do not say %q:\n%s", want, text)
		}
	}
	if len(faults) != 3 {
		t.Errorf("%d faults, want 3:\n%s", len(faults), text)
	}
}

func TestTheTableHasEveryCase(t *testing.T) {
	sections, err := parseRows(rowsText)
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, s := range sections {
		for _, r := range s.rows {
			if numbered(r.id) {
				cases++
			}
		}
	}
	if cases != 124 {
		t.Errorf("%d cases, want 124", cases)
	}
}
