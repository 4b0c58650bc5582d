//go:build linux

package uring

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEveryFeatureSaysWhatIsAskedAndWhatItIsFor(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Features() {
		if f.Name == "" || f.Since == "" || f.Probed == "" || f.Without == "" || seen[f.Name] {
			t.Errorf("%+v: a row needs a name of its own, since, probed and without", f)
		}
		if (f.Answer == Yes) != (f.Detail == "") {
			t.Errorf("%s: %v, %q: every answer but yes has a reason", f.Name, f.Answer, f.Detail)
		}
		if f.Required && !f.Used {
			t.Errorf("%s is required and not used", f.Name)
		}
		seen[f.Name] = true
		t.Logf("%-24s %-5s %-22s %-12v %s", f.Name, f.Since, f.Probed, f.Answer, f.Detail)
	}
}

// unmissed are what New uses where it is there, and does not name where it is not.
var unmissed = []string{"NO_IOWAIT", "io_uring_disabled", "multishot receive limit"}

// TestWhatNewFindsTheTableFinds: two ways of asking, one answer.
func TestWhatNewFindsTheTableFinds(t *testing.T) {
	n := newTestNetwork(t, Config{})
	for _, f := range Features() {
		if f.Required && f.Answer != Yes {
			t.Errorf("New works, and %s is %v: %s", f.Name, f.Answer, f.Detail)
		}
		missing := strings.Contains(strings.Join(n.can.missing, " "), f.Name)
		if f.Used && missing && f.Answer == Yes && ringFlagsRefused == 0 {
			t.Errorf("%s is there, and New does without: %v", f.Name, n.can.missing)
		}
	}
	if len(n.can.missing) == 0 {
		for _, f := range Features() {
			if f.Used && f.Answer == No && !slices.Contains(unmissed, f.Name) {
				t.Errorf("New misses nothing, and %s is %v: %s", f.Name, f.Answer, f.Detail)
			}
		}
	}
}

func TestAskingLeavesNothingBehind(t *testing.T) {
	Features() // what is opened once and kept, such as Go's own poller
	fds := descriptors(t)
	// Go's heap and its threads may map a little, but not each time; twenty times a ring's
	// three would show, and each time.
	var maps []int
	for more := true; more && len(maps) < 4; {
		before := mappings(t)
		for range 20 {
			Features()
		}
		maps = append(maps, mappings(t)-before)
		more = maps[len(maps)-1] > 20
	}
	awaitDescriptors(t, fds)
	if maps[len(maps)-1] > 20 {
		t.Errorf("20 times asked, %d mappings more, again and again", maps)
	}
}

func mappings(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestThreeAnswersAreToldApart(t *testing.T) {
	for _, c := range []struct {
		err    error
		absent []unix.Errno
		want   Answer
		says   string
	}{
		{nil, nil, Yes, ""},
		{unix.EINVAL, nil, No, "call: EINVAL (invalid argument)"},
		{unix.EOPNOTSUPP, nil, No, "call: "},
		{unix.ENOSYS, nil, Inconclusive, "call: ENOSYS"},
		{unix.ENOSYS, []unix.Errno{unix.ENOSYS}, No, "call: ENOSYS"},
		{unix.EPERM, nil, Inconclusive, "call: EPERM (operation not permitted)"},
		{unix.EMFILE, nil, Inconclusive, "call: EMFILE"},
		{unix.ENOMEM, nil, Inconclusive, "call: ENOMEM"},
		{errors.New("no completion within 1s"), nil, Inconclusive, "call: no completion"},
	} {
		got, says := judge(refusal("call", c.err, c.absent...))
		if got != c.want || !strings.HasPrefix(says, c.says) {
			t.Errorf("%v: %v %q, want %v %q", c.err, got, says, c.want, c.says)
		}
	}
}

// TestAFlagThatNoKernelHasIsAnAbsence asks for what does not exist.
func TestAFlagThatNoKernelHasIsAnAbsence(t *testing.T) {
	for _, r := range []row{
		{Feature{Name: "setup"}, bySetup(1 << 31)},
		{Feature{Name: "bit"}, byBit(1 << 31)},
		{Feature{Name: "opcode"}, byOpcode(255)},
		{Feature{Name: "register"}, byRegister("255", 0, func(_ *prober, r *Ring) error {
			_, err := r.register(255, nil, 0)
			return err
		})},
		{Feature{Name: "operation"}, byRing(0, tryReceive(1<<15, 0))},
		{Feature{Name: "completion flag"}, byRing(0, tryReceive(0, 1<<30))},
		{Feature{Name: "buffer ring flag"}, byRing(0, tryBufRing(1<<15))},
	} {
		if f := ask([]row{r})[0]; f.Answer != No || f.Detail == "" {
			t.Errorf("%s: %v %q, want no", f.Name, f.Answer, f.Detail)
		}
	}
}

// TestWithoutARingNothingElseIsKnown: one no, and the rest inconclusive.
func TestWithoutARingNothingElseIsKnown(t *testing.T) {
	p, err := newProber()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, refused := range []error{refusal("io_uring_setup", unix.EPERM), &absence{"io_uring_setup: EINVAL"}} {
		p.setup = refused
		for _, r := range featureTable() {
			if r.Name == "io_uring" || r.Name == "io_uring_disabled" {
				continue
			}
			if got, says := judge(r.try(p)); got != Inconclusive || !strings.Contains(says, "could not be asked") {
				t.Errorf("%s: %v %q, want inconclusive", r.Name, got, says)
			}
		}
	}
}
