package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// talk is a client: four bytes of length, big-endian, then the payload, both ways.
func talk(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, say := range []string{"set colour blue", "get colour"} {
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(say))), say...)); err != nil {
			return err
		}
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return err
		}
		answer := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, answer); err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", say, answer)
	}
	return nil
}
