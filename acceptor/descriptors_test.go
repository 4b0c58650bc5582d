package acceptor

import "testing"

// TestDescriptorsAreDividedAndNeverTwice: the parts add up to the limit, and files and
// connections get what they want as far as possible, each at least half.
func TestDescriptorsAreDividedAndNeverTwice(t *testing.T) {
	for _, c := range []struct {
		limit, own, files, conns int
		want                     Descriptors
	}{
		{1024, 0, 0, 0, Descriptors{1024, 0, 204, 0, 820, 0}},
		{1024, 30, 0, 0, Descriptors{1024, 30, 174, 0, 820, 0}},
		{1024, 30, 30_016, 0, Descriptors{1024, 30, 174, 410, 410, 0}},
		{1024, 30, 100, 0, Descriptors{1024, 30, 174, 100, 720, 0}},
		{1024, 30, 30_016, 100, Descriptors{1024, 30, 174, 720, 100, 0}},
		{1024, 30, 30_016, 2000, Descriptors{1024, 30, 174, 410, 410, 1590}},
		{1024, 30, 0, 2000, Descriptors{1024, 30, 174, 0, 820, 1180}},
		{524_288, 40, 30_016, 0, Descriptors{524_288, 40, 4056, 30_016, 490_176, 0}},
		{20, 16, 0, 0, Descriptors{20, 16, 8, 0, 1, 0}}, // HasRoom has the last word
		{0, 30, 500, 0, Descriptors{0, 30, 0, 500, 0, 0}},
		{0, 30, 500, 7, Descriptors{0, 30, 0, 500, 7, 0}},
		{1024, 30, 0, -1, Descriptors{1024, 30, 174, 0, 820, 0}},
	} {
		if got := PlanDescriptors(c.limit, c.own, c.files, c.conns); got != c.want {
			t.Errorf("%d descriptors, %d own, %d files, %d connections: %+v, want %+v", c.limit, c.own, c.files, c.conns, got, c.want)
		}
	}
	for limit := 1; limit < 5000; limit += 7 {
		for _, files := range []int{0, 16, 30_016} {
			for _, conns := range []int{0, 1, 300, 1 << 20} {
				d := PlanDescriptors(limit, 25, files, conns)
				if sum := d.Own + d.Reserve + d.Files + d.Conns; limit > 60 && sum > limit || d.Conns < 1 || d.Files < 0 {
					t.Fatalf("of %d: %+v, %d in all", limit, d, sum)
				}
			}
		}
	}
}
