// Command bench compares kring with other ways to serve the same frames, and
// generates load for any server of that kind. METHOD.md says what it measures,
// and what not.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"kring/bench/load"
)

// cli is the command line. Each command is in a file of its own.
type cli struct {
	Run           runCmd           `cmd:"" default:"withargs" help:"Compare the contestants, interleaved, and write a report (the default)."`
	Ablate        ablateCmd        `cmd:"" help:"Switch one technique of kring at a time, and say what each is worth in each scenario."`
	Report        reportCmd        `cmd:"" help:"Write the reports again from raw results."`
	Compare       compareCmd       `cmd:"" help:"Compare the raw results of two runs; exit status 1 when kring became worse."`
	Contract      contractCmd      `cmd:"" help:"Measure what others notice of clients that never read, a burst of connects, handlers that stall and cold files; exit status 1 when a goal is missed."`
	Files         filesCmd         `cmd:"" help:"Only what a client that reads cold files does to the others."`
	Goals         goalsCmd         `cmd:"" help:"Hold raw results against what kring wants to reach, as bench/RESULTS.md."`
	Overview      overviewCmd      `cmd:"" help:"One table and one chart of raw results, as the README has them."`
	Self          selfCmd          `cmd:"" help:"Say in a minute what the generator carries on this machine, beside what the C floors do."`
	Gateways      gatewaysCmd      `cmd:"" help:"Compare gateways in front of one broker, which scripts/gateway-compare.sh starts."`
	GatewayCost   gatewayCostCmd   `cmd:"" help:"Say what a request costs kring's gateway, in front of a broker that answers at once; of several builds, side by side."`
	GatewaysTable gatewaysTableCmd `cmd:"" help:"One table of the raw results of gateways, as docs/gateway.md has it."`
	List          listCmd          `cmd:"" help:"List scenarios and contestants, and what those that are absent lack."`
	Load          loadCmd          `cmd:"" help:"Generate load for one server and print what came back."`
	Scrape        scrapeCmd        `cmd:"" help:"Say what scrapes of a server's /metrics do to the latencies of its clients."`
	Generate      generateCmd      `cmd:"" hidden:"" help:"Generate load as a comparison's own process."`
	Serve         serveCmd         `cmd:"" hidden:"" help:"Be one of the contestants."`
	Hold          holdCmd          `cmd:"" hidden:"" help:"Hold idle connections."`

	Judged    judgedCmd    `cmd:"" hidden:"" help:"Be a server that contract measures."`
	Accompany accompanyCmd `cmd:"" hidden:"" help:"Be who disturbs."`
}

func main() {
	var c cli
	var kinds []string
	for _, k := range load.Kinds() {
		kinds = append(kinds, string(k))
	}
	k := kong.Parse(&c, kong.Name("bench"), kong.UsageOnError(),
		kong.Vars{"kinds": strings.Join(kinds, ","), "conclusion": conclusionRounds},
		kong.Description("Compares kring with other ways to serve the same frames. METHOD.md says what is measured, and what not."))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
