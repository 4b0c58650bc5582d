//go:build linux

package uring

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strings"
	"testing"
)

// traces are the names that stand in the engine's source if, and only if, the
// engine uses a feature.
var traces = map[string]string{
	"io_uring":                "NewRing",
	"SINGLE_MMAP":             "FeatureSingleMmap",
	"NODROP":                  "FeatureNoDrop",
	"SUBMIT_STABLE":           "FeatureSubmitStable",
	"CQSIZE":                  "SetupCQSize",
	"CLAMP":                   "SetupClamp",
	"socket operations":       "PrepSendMsg",
	"FAST_POLL":               "FeatureFastPoll",
	"EXT_ARG":                 "enterExtArg",
	"CQE_SKIP":                "SQECQESkipSuccess",
	"multishot accept":        "PrepAcceptMultishot",
	"buffer rings":            "registerBufRing",
	"CANCEL_ANY, CANCEL_ALL":  "CancelAny",
	"RECVSEND_POLL_FIRST":     "RecvSendPollFirst",
	"SOCKET":                  "OpcodeSocket",
	"NATIVE_WORKERS":          "featureNativeWorkers",
	"IOWQ_MAX_WORKERS":        "RegisterIOWQMaxWorkers",
	"SUBMIT_ALL":              "SetupSubmitAll",
	"COOP_TASKRUN":            "SetupCoopTaskrun",
	"TASKRUN_FLAG":            "SetupTaskrunFlag",
	"SOCK_NONEMPTY":           "CQESockNonempty",
	"multishot receive":       "PrepRecvMultishot",
	"SINGLE_ISSUER":           "SetupSingleIssuer",
	"DEFER_TASKRUN":           "SetupDeferTaskrun",
	"NO_SQARRAY":              "SetupNoSQArray",
	"io_uring_disabled":       "disabledSysctl",
	"NO_IOWAIT":               "enterNoIOWait",
	"multishot receive limit": "recvLimit",
	"registered buffers":      "RegisterBuffers",
	"RESTRICTIONS":            "registerRestrictions",
	"SQPOLL":                  "SetupSQPoll",
	"MSG_RING":                "PrepMsgRing",
	"registered ring fd":      "RegisterRingFD",
	"SEND_ZC":                 "PrepSendZC",
	"SENDMSG_ZC":              "PrepSendMsgZC",
	"NAPI":                    "RegisterNAPI",
	"RECVSEND_BUNDLE":         "RecvSendBundle",
	"incremental buffers":     "bufRingIncremental",
	"MIN_TIMEOUT":             "SetMinWait",
	"direct descriptors":      "registerSparseFiles",
	"SEND_MSG_RING":           "registerSendMsgRing",
	"WRITEV_FIXED":            "PrepWritevFixed",
	"IOPOLL":                  "setupIOPoll",
	"ATTACH_WQ":               "setupAttachWQ",
	"SQE128":                  "setupSQE128",
	"SYNC_CANCEL":             "RegisterSyncCancel",
	"multishot timeout":       "timeoutMultishot",
	"FUTEX_WAIT":              "opcodeFutexWait",
	"WAITID":                  "opcodeWaitID",
	"PBUF_STATUS":             "registerPbufStatus",
	"FIXED_FD_INSTALL":        "opcodeFixedFDInstall",
	"ACCEPT_DONTWAIT":         "acceptDontWait",
	"BIND, LISTEN":            "opcodeBind",
	"CLOCK":                   "registerClock",
	"RESIZE_RINGS":            "registerResizeRings",
	"wait regions":            "registerMemRegion",
	"HYBRID_IOPOLL":           "setupHybridIOPoll",
	"RECV_ZC":                 "opcodeRecvZC",
	"EPOLL_WAIT":              "opcodeEpollWait",
	"CQE_MIXED":               "setupCQEMixed",
	"SQ_REWIND":               "setupSQRewind",
	"BPF filter":              "registerBPFFilter",
}

// TestTheTableSaysOfEachFeatureWhetherTheEngineUsesIt holds the table against
// the source, in both directions.
func TestTheTableSaysOfEachFeatureWhetherTheEngineUsesIt(t *testing.T) {
	engine, all := mentions(t)
	for _, r := range featureTable() {
		trace, ok := traces[r.Name]
		if !ok || all[trace] == "" {
			t.Errorf("%s: name in traces what stands in the engine's source if it uses this (%q stands unsubmitted)", r.Name, trace)
			continue
		}
		says := r.Used || len(r.Settings) > 0
		if where := engine[trace]; says != (where != "") {
			t.Errorf("%s: the table says used: %v, settings: %q; %s is mentioned in %q", r.Name, r.Used, r.Settings, trace, where)
		}
		if r.Used && len(r.Settings) > 0 || !says != (r.Without == unused) {
			t.Errorf("%+v: a feature is used by default, or by settings, or never, and then nothing changes without it", r.Feature)
		}
	}
}

// TestWhatIsOnlyAskedForStandsApart: nothing that features_abi.go declares is
// used by the engine.
func TestWhatIsOnlyAskedForStandsApart(t *testing.T) {
	engine, _ := mentions(t)
	for _, d := range parsed(t, "features_abi.go").Decls {
		for _, s := range d.(*ast.GenDecl).Specs {
			var names []*ast.Ident
			switch s := s.(type) {
			case *ast.ValueSpec:
				names = s.Names
			case *ast.TypeSpec:
				names = append(names, s.Name)
			}
			for _, name := range names {
				if where := engine[name.Name]; where != "" {
					t.Errorf("%s is used in %s: it belongs into abi.go", name, where)
				}
			}
		}
	}
}

// mentions are the identifiers of the package's source, each with a file that
// mentions it: the engine's, and all. What declares the kernel's interface, or
// only asks for it, is not the engine's: abi.go, kernel.go (whose profiles name
// the last operation of a kernel) and features_*.go.
func mentions(t *testing.T) (engine, all map[string]string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	engine, all = map[string]string{}, map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		asks := name == "abi.go" || name == "kernel.go" || strings.HasPrefix(name, "features")
		var declared *ast.Ident
		ast.Inspect(parsed(t, name), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				declared = n.Name
			case *ast.Ident:
				if n == declared {
					break
				}
				if all[n.Name] = name; !asks {
					engine[n.Name] = name
				}
			}
			return true
		})
	}
	return engine, all
}

func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestASettingOfAFeatureMakesTheEngineUseIt: each can be set as it stands,
// differs from the default, and is served where the kernel has the feature.
func TestASettingOfAFeatureMakesTheEngineUseIt(t *testing.T) {
	for _, f := range Features() {
		for _, s := range f.Settings {
			c := configOf(t, strings.ReplaceAll(s, ",", " "))
			if len(c.Changed()) == 0 || c.Validate() != nil {
				t.Errorf("%s: %s sets %q: %v", f.Name, s, c.Changed(), c.Validate())
			}
			if ringFlavour != "" && c.needsOwnRing() {
				continue
			}
			if _, err := New(c); f.Answer == Yes && err != nil {
				t.Errorf("%s is there, and %s is refused: %v", f.Name, s, err)
			}
		}
	}
}

// needNothing are the settings that no row of the table names: they change how
// much, or what is used by default, or need nothing that a kernel may lack.
var needNothing = strings.Fields("entries cq-entries buffers buffers-hot buffer-bytes large-buffers send-bytes send-buffers submit-all coop-taskrun " +
	"taskrun-flag single-issuer defer-taskrun no-sqarray no-iowait clamp sqpoll-cpus iowq-workers accept poll-first fixed-bytes " +
	"quiet-wait busy-poll busy-poll-free-cpus busy-poll-forced min-wait-completions cpus")

// TestEverySettingThatNeedsAFeatureIsInTheTable.
func TestEverySettingThatNeedsAFeatureIsInTheTable(t *testing.T) {
	named := map[string]bool{}
	for _, r := range featureTable() {
		for _, list := range r.Settings {
			for s := range strings.SplitSeq(list, ",") {
				key, _, _ := strings.Cut(s, "=")
				named[key] = true
			}
		}
	}
	for _, key := range needNothing {
		named[key] = true
	}
	for _, key := range SettingKeys() {
		if !named[key] {
			t.Errorf("no feature of the table is switched on by %s", key)
		}
	}
}
