package lint

import (
	"go/build/constraint"
	"slices"
	"strings"
)

// Think hard about the layering before changing this table: it is what keeps
// the parts understandable one at a time, and each of them replaceable. uring
// and fallback do not know each other; acceptor and processor do not either;
// reqchan knows none of them; only the root chooses.
//
// A row allows a package (or, with /... at its end, all below it) to import
// packages of this module, written without "kring/", and modules of others,
// written with their host. Tests may import more; see layering.
var layers = []layer{
	{"engine", nil},
	{"uring", words("engine internal/fault internal/slab internal/invariants internal/park internal/sock " + sys + " " + giouring)},
	{"fallback", words("internal/fault")},
	{"fallback/epoll", words("engine fallback internal/slab internal/invariants internal/park internal/sock " + sys)},
	{"fallback/portable", words("engine fallback internal/slab internal/sock internal/unixsock internal/invariants " + sys)},
	{"acceptor", words("engine internal/rate " + sys)},
	{"processor", words("engine reqchan internal/conn internal/budget internal/cachedread internal/capacity internal/measure internal/queue internal/slab internal/invariants")},
	{"internal/conn/conntest", words("reqchan internal/slab")},
	{"internal/conn", words("engine reqchan internal/proxyproto internal/budget internal/capacity internal/measure internal/frame internal/slab internal/invariants")},
	{"reqchan", words("internal/proxyproto internal/budget internal/capacity internal/measure internal/queue internal/slab internal/invariants")},
	{"internal/tlsconn", words("reqchan internal/conn internal/fairqueue internal/slab internal/invariants")},
	{"handler", words("reqchan internal/budget internal/measure internal/queue internal/slab internal/invariants")},
	{"echo", words("reqchan")},
	{".", words("internal/measure internal/pace engine uring fallback/epoll fallback/portable acceptor processor reqchan handler " +
		"internal/budget internal/capacity internal/cgroup internal/fault internal/rate internal/queue internal/slab internal/tlsconn internal/handover internal/unixsock internal/invariants")},
	{"doctor", words(". uring internal/cgroup " + sys)},
	{"quota", words("internal/rate")},
	{"telemetry", words("reqchan " + protowire + " " + codecs)},
	{"internal/top", words("views charm.land/bubbletea/v2 github.com/charmbracelet/x/ansi")},
	{"views", words(". processor reqchan telemetry internal/measure internal/pace")},
	{"metrics", words(". acceptor processor reqchan telemetry internal/pace " + prometheus)},
	{"tlsconf", words(pkcs12 + " " + pkcs8 + " golang.org/x/text/cases golang.org/x/text/language")},
	{"acl", words(kmsg)},
	{"sasl", words(scram + " " + jose)},
	{"kafka", words(". reqchan acl quota sasl telemetry internal/fairqueue internal/measure internal/invariants " + kmsg)},
	{"kafka/internal/schemagen", nil},
	{"embedded", words(". reqchan acl kafka quota sasl telemetry internal/budget internal/cgroup internal/queue internal/slab internal/invariants " + kfake + " " + kmsg + " " + kerr + " " + kversion + " " + codecs)},
	{"gateway", words(". reqchan kafka " + kmsg + " " + kerr + " " + scram)},
	{"record", words(". reqchan kafka " + kmsg)},
	{"internal/replay", words("reqchan record kafka internal/measure " + kmsg + " " + kerr)},
	{"cmd/kring", anything},
	{"examples/...", anything},
	{"bench/...", anything},

	{"internal/cgroup", nil},
	{"internal/cachedread", words(sys)},
	{"internal/capacity", words("internal/queue internal/invariants")},
	{"internal/invariants", nil},
	{"internal/budget", nil},
	{"internal/measure", nil},
	{"internal/pace", words("internal/measure")},
	{"internal/fairqueue", nil},
	{"internal/fault", nil},
	{"internal/rate", words("internal/fault")},
	{"internal/slab", words("internal/invariants " + sys)},
	{"internal/properties", nil},
	{"internal/queue", words("internal/invariants")},
	{"internal/park", words("internal/invariants " + sys)},
	{"internal/sock", words("engine internal/unixsock internal/invariants " + sys)},
	{"internal/unixsock", nil},
	{"internal/handover", words("internal/unixsock")},
	{"internal/proxyproto", nil},
	{"internal/proxyproto/proxytest", nil},
	{"internal/frame", words("internal/slab internal/invariants")},
	{"internal/enginetest", words("engine internal/slab internal/invariants " + goleak)},
	{"internal/faultengine", words("engine internal/slab internal/invariants")},
	{"internal/leaktest", words(goleak)},
	{"internal/lint", nil},
	{"internal/conformance", words("internal/lint")},
	{"internal/servertest", words(". engine internal/tlstest")},
	{"internal/tlstest", nil},
	{"internal/kmsgtest", words(kmsg)},
	{"internal/heldfile", words(sys)},
	{"internal/testcerts", words(pkcs12 + " " + pkcs8)},
	{"internal/testcerts/make", words("internal/testcerts")},
	{"internal/testcerts/subjects", words("internal/testcerts")},
	{"internal/contract", anything},
	{"internal/e2e", anything},
}

const (
	prometheus = "github.com/prometheus/client_golang/prometheus github.com/prometheus/client_model/go"
	sys        = "golang.org/x/sys/unix"
	goleak     = "go.uber.org/goleak"
	protowire  = "google.golang.org/protobuf/encoding/protowire"
	kmsg       = "github.com/twmb/franz-go/pkg/kmsg"
	kerr       = "github.com/twmb/franz-go/pkg/kerr"
	pkcs12     = "software.sslmate.com/src/go-pkcs12"
	pkcs8      = "github.com/youmark/pkcs8"
	kfake      = "github.com/twmb/franz-go/pkg/kfake"
	// codecs are what records are compressed with, as in franz-go.
	codecs   = "github.com/klauspost/compress/s2 github.com/klauspost/compress/zstd github.com/pierrec/lz4/v4"
	kversion = "github.com/twmb/franz-go/pkg/kversion"
	scram    = "github.com/xdg-go/scram"
	jose     = "github.com/go-jose/go-jose/v4 github.com/go-jose/go-jose/v4/jwt"
	giouring = "github.com/pawelgaczynski/giouring"
)

type layer struct {
	dir  string
	mays []string
}

var anything = []string{"*"}

func words(s string) []string { return strings.Fields(s) }

// layering holds every import against the table.
func layering(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		if t.foreign(f.Path) {
			return
		}
		mays, known := allowed(f.Dir())
		if !known {
			found = append(found, f.At(f.AST.Package, "package without a row in the layering table: think, then add one in internal/lint/layering.go"))
			return
		}
		for _, i := range f.AST.Imports {
			if text := importFault(f, strings.Trim(i.Path.Value, `"`), mays); text != "" {
				found = append(found, f.At(i.Pos(), text))
			}
		}
	})
	return found
}

func allowed(dir string) ([]string, bool) {
	for _, l := range layers {
		tree, below := strings.CutSuffix(l.dir, "/...")
		if l.dir == dir || below && (dir == tree || strings.HasPrefix(dir, tree+"/")) {
			return l.mays, true
		}
	}
	return nil, false
}

// importFault says what is wrong with an import, "" if nothing is.
func importFault(f *File, imported string, mays []string) string {
	dir, ours := strings.CutPrefix(imported, "kring/")
	if imported == "kring" {
		dir, ours = ".", true
	}
	host, _, _ := strings.Cut(imported, "/")
	switch {
	case !ours && !strings.Contains(host, "."):
		return "" // the standard library
	case imported == giouring && !(f.Dir() == "uring" || strings.HasPrefix(f.Path, "bench/")):
		return "giouring belongs to uring alone: use the Ring of uring"
	case imported == giouring && !underTag(f, "giouring"):
		return "giouring does not link with stock flags: begin the file with //go:build giouring"
	case imported == kfake && f.Dir() != "embedded" && !f.Test():
		return "kfake is known to embedded alone: use embedded's Cluster"
	case ours && (dir == "bench" || strings.HasPrefix(dir, "bench/")) && !strings.HasPrefix(f.Path, "bench/"):
		return "nobody imports bench: move what is shared to a package of its own"
	case f.Test() || slices.Contains(mays, "*"):
		return ""
	case ours && slices.Contains(mays, dir), !ours && slices.Contains(mays, imported):
		return ""
	}
	return f.Dir() + " may not import " + imported + ": pass what it needs in through its Config or an interface of its own, " +
		"or think hard and change the table in internal/lint/layering.go"
}

// underTag says that the file is only built with tag.
func underTag(f *File, tag string) bool {
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if x, err := constraint.Parse(c.Text); err == nil && c.Pos() < f.AST.Package {
				return !x.Eval(func(t string) bool { return t != tag })
			}
		}
	}
	return false
}
