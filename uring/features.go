package uring

import "fmt"

// Feature is one thing that some kernels' io_uring can do and others can't,
// and what asking for it here brought.
type Feature struct {
	// Name is the kernel's own where it has one, such as DEFER_TASKRUN. It
	// does not change from one version of kring to the next.
	Name string `json:"name"`
	// Since is the kernel that brought it, for the reader: nothing is decided
	// by versions, because distributions move features to older kernels and
	// switch them off in newer ones.
	Since string `json:"since"`
	// Probed says how it was asked for.
	Probed string `json:"probed"`
	Answer Answer `json:"answer"`
	// Detail is why the answer is not yes, with the errno in words.
	Detail string `json:"detail,omitempty"`
	// Without is what kring does without it.
	Without string `json:"without"`
	// Used: kring's engines use it by default where it is there.
	Used bool `json:"used"`
	// Settings, of a feature that is off by default: any of them makes the
	// engines use it. Each is a comma-separated list of key=value for
	// Config.Set. Empty for what is used by default, and for what never is.
	Settings []string `json:"settings,omitempty"`
	// Required: without it another engine serves.
	Required bool `json:"required"`
}

// Answer is what a kernel said.
type Answer uint8

// Answers.
const (
	// Inconclusive: asking failed for a reason of its own (no memory, no
	// descriptors, forbidden), so nothing is known.
	Inconclusive Answer = iota
	// Yes: it is there.
	Yes
	// No: it is not.
	No
)

func (a Answer) String() string {
	switch a {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return "inconclusive"
}

// MarshalText is String.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Answer) UnmarshalText(text []byte) error {
	for _, known := range []Answer{Inconclusive, Yes, No} {
		if string(text) == known.String() {
			*a = known
			return nil
		}
	}
	return fmt.Errorf("uring: answer %q: not yes, no or inconclusive", text)
}
