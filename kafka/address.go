package kafka

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is a host and a port that clients are told to connect to
// [advertised.listeners].
type Address struct {
	Host string
	Port int32
}

// String is host:port.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// hostBytesMax is the longest host name, as text (RFC 1035, 2.3.4).
const (
	hostBytesMax  = 253
	labelBytesMax = 63
)

// ParseAddress reads host:port, with an IPv6 address in brackets. It refuses what no
// client could connect to: port 0, an unspecified address (0.0.0.0, which Kafka refuses
// too, and [::]) or a multicast one, and what can't be a host name.
func ParseAddress(s string) (Address, error) {
	host, service, err := net.SplitHostPort(s)
	if err != nil {
		var at *net.AddrError
		if errors.As(err, &at) {
			err = errors.New(at.Err) // the caller names the address
		}
		return Address{}, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return Address{}, fmt.Errorf("port %q is not a number from 1 to 65535", service)
	}
	if err := reachable(host); err != nil {
		return Address{}, err
	}
	return Address{host, int32(port)}, nil
}

func reachable(host string) error {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nameable(host)
	}
	switch ip = ip.Unmap(); {
	case ip.IsUnspecified():
		return fmt.Errorf("%s stands for every address of this machine, and clients can't connect to that", host)
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s stands for many machines, and clients can't connect to that", host)
	}
	return nil
}

// nameable refuses what resolvers refuse. That is less than RFC 1123 forbids: names with
// an underscore are common in container networks, and Kafka's clients accept them.
func nameable(host string) error {
	switch name := strings.TrimSuffix(host, "."); {
	case host == "":
		return errors.New("there is no host")
	case len(name) > hostBytesMax:
		return fmt.Errorf("a host's name has %d bytes at most, and this has %d", hostBytesMax, len(name))
	default:
		for label := range strings.SplitSeq(name, ".") {
			if err := labelFits(label); err != nil {
				return fmt.Errorf("host %q: %w", host, err)
			}
		}
		if last := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(last, "0123456789") == "" {
			return fmt.Errorf("host %q is neither an IP address nor a name, which does not end with a number", host)
		}
	}
	return nil
}

func labelFits(label string) error {
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	switch {
	case label == "":
		return errors.New("there is nothing between two dots")
	case len(label) > labelBytesMax:
		return fmt.Errorf("a part of a name has %d bytes at most", labelBytesMax)
	case strings.Trim(label, legal) != "":
		return errors.New("a name has letters, digits, - and _ (others as xn--…)")
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("no part of a name begins or ends with -")
	}
	return nil
}
