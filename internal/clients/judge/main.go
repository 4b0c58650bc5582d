package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: judge compare|cost|mutate [FLAGS] NAME=ADDR[=PID]...")

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	set := flag.NewFlagSet(args[0], flag.ContinueOnError)
	list := set.String("differences", "differences.txt", "the differences that are wanted, each with its reason")
	write := set.String("write", "", "write every difference to this file, instead of failing on those that are not listed")
	requests := set.Int("n", 100, "mutate: requests per API; cost: connections per kind")
	seed := set.Uint64("seed", 1, "what the mutations are made from")
	only := set.String("only", "", "mutate: this API alone")
	most := set.Duration("most", 0, "cost: what a hostile connection may cost on average; 0: any")
	verbose := set.Bool("v", false, "say every outcome")
	if err := set.Parse(args[1:]); err != nil {
		return err
	}
	servers, err := parseServers(set.Args())
	if err != nil {
		return err
	}
	switch args[0] {
	case "compare":
		return compare(servers, comparing{list: *list, write: *write, verbose: *verbose})
	case "cost":
		return cost(servers, *requests, *most)
	case "mutate":
		return mutate(servers, *only, *requests, *seed)
	}
	return errUsage
}

// server is one that is asked. The first on the command line is the judge.
type server struct {
	name, addr string
	pid        int // 0 if unknown
	versions   map[int16]versionRange
	topicID    [16]byte // of the topic that is asked about
}

type versionRange struct{ min, max int16 }

func parseServers(args []string) ([]*server, error) {
	var all []*server
	for _, arg := range args {
		parts := strings.Split(arg, "=")
		if len(parts) < 2 || len(parts) > 3 {
			return nil, fmt.Errorf("server %q: want NAME=ADDR or NAME=ADDR=PID", arg)
		}
		s := &server{name: parts[0], addr: parts[1]}
		if len(parts) == 3 {
			pid, err := strconv.Atoi(parts[2])
			if err != nil {
				return nil, fmt.Errorf("server %q: pid: %w", arg, err)
			}
			s.pid = pid
		}
		if err := s.askVersions(); err != nil {
			return nil, fmt.Errorf("%s at %s: %w", s.name, s.addr, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errUsage
	}
	return all, nil
}
