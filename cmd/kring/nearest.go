package main

import "strings"

// nearest returns the name that was most likely meant by a mistyped one, or "". Case, dots,
// dashes and underscores count little.
func nearest(typed string, names []string) string {
	most := max(2, len(typed)/5)
	best, name := 2*most+1, ""
	plain := plainName(typed)
	for _, n := range names {
		if d := len(n) - len(typed); d > 2*most || -d > 2*most {
			continue
		}
		other := plainName(n)
		if 2*lettersApart(plain, other) > best {
			continue
		}
		// Letters count twice: of two names that differ by as much, the one with the same
		// letters is nearer.
		d := 2*editDistance(plain, other) + min(editDistance(typed, n), 1)
		if d < best || d == best && n < name {
			best, name = d, n
		}
	}
	return name
}

// plainName is a name without what people mistype in names of several words.
func plainName(name string) string { return separators.Replace(strings.ToLower(name)) }

var separators = strings.NewReplacer(".", "", "-", "", "_", "")

// lettersApart is at most the editDistance, and costs a hundredth of it: a file that is no
// configuration has a hundred unknown names, each of which is held against hundreds.
func lettersApart(a, b string) (apart int) {
	var count [256]int16
	for i := range len(a) {
		count[a[i]]++
	}
	for i := range len(b) {
		count[b[i]]--
	}
	more, less := 0, 0
	for _, n := range count {
		if n > 0 {
			more += int(n)
		} else {
			less -= int(n)
		}
	}
	return max(more, less)
}

// didYouMean is the end of an error about an unknown name.
func didYouMean(typed string, names []string) string {
	if name := nearest(typed, names); name != "" {
		return "; is " + name + " meant?"
	}
	return ""
}

// editDistance is the least number of characters to insert, remove, replace or swap with
// the next one.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j]+same, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
