package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"kring/internal/clients/raw"
)

// clientFrames are requests as clients sent them, without their size. Some have
// bytes behind their body.
var clientFrames = []struct{ client, frame string }{
	{"librdkafka from 2.2 on, Metadata v13 of all topics",
		"0003000d00000003000772646b61666b610000000000010000"},
	{"librdkafka 2, AlterUserScramCredentials v0",
		"0033000000000003000772646b61666b6100010202750100002000412ce7fc5c1459adb1f8e2732caa65d5d7c019a843445ac96eed27b7e65a3378" +
			"ba1d149f34a9521bf624c64cf89c986a3fa16061fd0c4bfac36b0aba2dcea0169f21c41c76ee35bf711461d073af23ee43065ba6fb89aaf98d29a6" +
			"55941396406736000000"},
	{"Java from 3.3 to 3.7, ApiVersions v3", "0012000300000001000178000278027900"},
}

// ofClients asks what real clients ask, byte by byte as they do.
func ofClients() (all []question) {
	for _, c := range clientFrames {
		payload, err := hex.DecodeString(c.frame)
		if err != nil {
			panic(fmt.Sprintf("judge: the frame of %s: %v", c.client, err))
		}
		all = append(all, question{family: "a frame of a real client", variant: c.client, asks: []ask{{
			frame:       raw.Frame(payload),
			key:         int16(binary.BigEndian.Uint16(payload)),
			version:     int16(binary.BigEndian.Uint16(payload[2:])),
			correlation: int32(binary.BigEndian.Uint32(payload[4:])),
		}}})
	}
	return all
}
