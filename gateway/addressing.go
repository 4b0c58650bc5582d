package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kring/kafka"
)

// NoNode is no broker's id: a client that came by the address of no broker in particular
// is served by any.
const NoNode int32 = -1

// Addressing says by what address clients reach which broker. Either every broker has a port
// of the gateway (PortBase + node id, the same on every instance), or a name that clients
// give in the TLS handshake (SNI).
type Addressing struct {
	// Host is the name or address of the gateway that clients are told.
	Host string
	// PortBase is the port for node id 0 on this machine, and Nodes how many there are, from
	// node id 0 on. All of them are bound at the start.
	PortBase int32
	Nodes    int32
	// AdvertisedPortBase is what clients are told instead of PortBase, where something
	// between them and the gateway maps ports; 0: PortBase.
	AdvertisedPortBase int32
	// Names, if set, is the pattern of the brokers' names, with $(node) in the place of the
	// node id, such as broker-$(node).kafka.example.com; NamesPort is the port that clients
	// are told. PortBase and Host are not used then.
	Names     string
	NamesPort int32
}

const nodePlace = "$(node)"

// nodePortsMax bounds how many ports are bound for brokers.
const nodePortsMax = 1024

// Validate reports every fault at once.
func (a *Addressing) Validate() error {
	var faults []error
	fault := func(format string, values ...any) { faults = append(faults, fmt.Errorf(format, values...)) }
	if a.Names != "" {
		if strings.Count(a.Names, nodePlace) != 1 {
			fault("gateway: Names %q: there must be one %s in it, which stands for the node id", a.Names, nodePlace)
		} else if _, err := kafka.ParseAddress(a.name(0) + ":1"); err != nil {
			fault("gateway: Names %q: %w", a.Names, err)
		}
		if a.NamesPort < 1 || a.NamesPort > 1<<16-1 {
			fault("gateway: NamesPort %d: must be from 1 to 65535", a.NamesPort)
		}
		return errors.Join(faults...)
	}
	if a.Nodes < 1 || a.Nodes > nodePortsMax {
		fault("gateway: Nodes %d: must be from 1 to %d, one more than the largest node id of the cluster", a.Nodes, nodePortsMax)
	}
	for _, base := range []int32{a.PortBase, a.firstAdvertised()} {
		if last := int64(base) + int64(a.Nodes) - 1; base < 1 || last > 1<<16-1 {
			fault("gateway: ports %d to %d: must be from 1 to 65535; choose a lower base, or fewer nodes", base, last)
		}
	}
	if _, err := kafka.ParseAddress((kafka.Address{Host: a.Host, Port: 1}).String()); err != nil {
		fault("gateway: Host %q: clients are told to connect to it, and can't: %w; advertise a name that they resolve", a.Host, err)
	}
	return errors.Join(faults...)
}

func (a *Addressing) firstAdvertised() int32 {
	if a.AdvertisedPortBase != 0 {
		return a.AdvertisedPortBase
	}
	return a.PortBase
}

func (a *Addressing) name(node int32) string {
	return strings.Replace(a.Names, nodePlace, strconv.Itoa(int(node)), 1)
}

// AddressOf is what clients are told of a broker; false: it has no address here, as its id is
// outside the range of ports. What they are told then can't be resolved, and says why.
func (a *Addressing) AddressOf(node int32) (kafka.Address, bool) {
	switch {
	case a.Names != "" && node >= 0:
		return kafka.Address{Host: a.name(node), Port: a.NamesPort}, true
	case a.Names == "" && node >= 0 && node < a.Nodes:
		return kafka.Address{Host: a.Host, Port: a.firstAdvertised() + node}, true
	}
	return kafka.Address{Host: fmt.Sprintf("node-%d-is-outside-the-gateways-node-ports.invalid", node), Port: 1}, false
}

// Port is where the clients of a broker connect to on this machine.
func (a *Addressing) Port(node int32) int32 { return a.PortBase + node }

// NodeOfName is the broker that a client means by the name of its TLS handshake.
func (a *Addressing) NodeOfName(serverName string) int32 {
	before, behind, is := strings.Cut(strings.ToLower(a.Names), nodePlace)
	name := strings.ToLower(serverName)
	if !is || len(name) <= len(before)+len(behind) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, behind) {
		return NoNode
	}
	id, err := strconv.ParseInt(name[len(before):len(name)-len(behind)], 10, 32)
	if err != nil || id < 0 || !strings.EqualFold(a.name(int32(id)), serverName) {
		return NoNode
	}
	return int32(id)
}

// loops says that an address of the upstream is one of the gateway's own.
func (a *Addressing) loops(at kafka.Address, bootstrap []kafka.Address) bool {
	if slices.Contains(bootstrap, at) {
		return true
	}
	if a.Names != "" {
		return a.NodeOfName(at.Host) != NoNode && at.Port == a.NamesPort
	}
	return strings.EqualFold(at.Host, a.Host) && at.Port >= a.firstAdvertised() && at.Port < a.firstAdvertised()+a.Nodes
}
