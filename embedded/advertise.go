package embedded

import (
	"maps"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// Advertise says where clients reach the cluster: the address of the server's
// listener, or what the operator knows better. The first call starts the
// answers to clients.
func (c *Cluster) Advertise(host string, port uint16) {
	c.live.RLock()
	defer c.live.RUnlock()
	c.listener.advertise(net.JoinHostPort(host, strconv.Itoa(int(port))))
	c.advertise.Do(func() { close(c.advertised) })
}

// AdvertiseOn says the same for the clients of one of the server's listeners, by
// its name (KIP-103): they learn this address, and no other, wherever an answer
// has one. Call it before Advertise, whose address is for all other listeners.
func (c *Cluster) AdvertiseOn(listener, host string, port uint16) {
	c.adverts.Lock()
	defer c.adverts.Unlock()
	on := map[string]kafka.Address{}
	if was := c.adverts.on.Load(); was != nil {
		maps.Copy(on, *was)
	}
	on[listener] = kafka.Address{Host: host, Port: int32(port)}
	c.adverts.on.Store(&on)
}

// advertisedOn is where the clients of a listener are told to connect to, if it is
// another address than kfake's.
func (c *Cluster) advertisedOn(listener string) (at kafka.Address, own bool) {
	if on := c.adverts.on.Load(); on != nil {
		at, own = (*on)[listener]
	}
	return at, own
}

// What follows puts the address of the client's own listener into kfake's responses,
// which know one for all. Every API is here whose answer has an address: Produce,
// Fetch and the like have one only where another broker leads a partition, and there
// is no other.

func readdressMetadata(x *exchange, _ *kmsg.MetadataRequest) kmsg.Response {
	readdress(x, func(resp *kmsg.MetadataResponse, at kafka.Address) {
		for i := range resp.Brokers {
			resp.Brokers[i].Host, resp.Brokers[i].Port = at.Host, at.Port
		}
	})
	return nil
}

func readdressCoordinator(x *exchange, _ *kmsg.FindCoordinatorRequest) kmsg.Response {
	readdress(x, func(resp *kmsg.FindCoordinatorResponse, at kafka.Address) {
		if resp.NodeID >= 0 && resp.Host != "" {
			resp.Host, resp.Port = at.Host, at.Port
		}
		for i := range resp.Coordinators {
			if of := &resp.Coordinators[i]; of.NodeID >= 0 && of.Host != "" {
				of.Host, of.Port = at.Host, at.Port
			}
		}
	})
	return nil
}

func readdressCluster(x *exchange, _ *kmsg.DescribeClusterRequest) kmsg.Response {
	readdress(x, func(resp *kmsg.DescribeClusterResponse, at kafka.Address) {
		for i := range resp.Brokers {
			resp.Brokers[i].Host, resp.Brokers[i].Port = at.Host, at.Port
		}
	})
	return nil
}

// readdress has change see the response, where the client's listener has an address
// of its own.
func readdress[Resp kmsg.Response](x *exchange, change func(Resp, kafka.Address)) {
	if at, own := x.cluster().advertisedOn(x.session.client.Listener); own {
		then(x, func(resp Resp) { change(resp, at) })
	}
}
